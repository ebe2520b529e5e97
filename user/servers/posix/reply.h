/*
 * The server's side of the exchange of messages; process.h has what answers a thread.
 */
#pragma once

#include <merganser/abi.h>

/* Sends the answer that is kept back, if any, and waits for the next message. */
void reply_and_receive(struct mg_msg *msg);
