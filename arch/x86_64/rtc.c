/*
 * rtc.c: the date, once, from the battery-backed clock. It is taken to run in UTC.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/clock.h"
#include "lib/string.h"

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71, CMOS_NMI_OFF = 0x80 };
enum { RTC_STATUS_A = 0x0a, RTC_STATUS_B = 0x0b };
enum { STATUS_A_UPDATING = 0x80, STATUS_B_BINARY = 4, STATUS_B_24_HOURS = 2 };
enum { HOUR_PM = 0x80 };

struct rtc {
    u8 second, minute, hour, day, month, year;
};

static u8 cmos_read(u8 index)
{
    io_out8(CMOS_INDEX, index | CMOS_NMI_OFF);
    return io_in8(CMOS_DATA);
}

static struct rtc rtc_registers(void)
{
    while (cmos_read(RTC_STATUS_A) & STATUS_A_UPDATING)
        cpu_relax();
    return (struct rtc){cmos_read(0), cmos_read(2), cmos_read(4),
                        cmos_read(7), cmos_read(8), cmos_read(9)};
}

static u8 from_bcd(u8 value)
{
    return (u8)((value >> 4) * 10 + (value & 15));
}

static void decode(struct rtc *rtc)
{
    u8 status = cmos_read(RTC_STATUS_B);
    bool afternoon = rtc->hour & HOUR_PM;

    rtc->hour &= (u8)~HOUR_PM;
    if (!(status & STATUS_B_BINARY)) {
        u8 *field = &rtc->second;

        for (usize i = 0; i < sizeof(*rtc); i++)
            field[i] = from_bcd(field[i]);
    }
    if (!(status & STATUS_B_24_HOURS))
        rtc->hour = (u8)(rtc->hour % 12 + (afternoon ? 12 : 0));
}

/* Days from 1970-01-01 to a date, counting years from March so that the leap day comes last. */
static u64 days_since_1970(u64 year, u64 month, u64 day)
{
    if (month <= 2) {
        year--;
        month += 12;
    }
    return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 -
           719468;
}

u64 rtc_read(void)
{
    struct rtc rtc, again = rtc_registers();

    do { /* two equal readings: no update came in between */
        rtc = again;
        again = rtc_registers();
    } while (memcmp(&rtc, &again, sizeof(rtc)) != 0);
    decode(&rtc);
    u64 year = 2000ul + rtc.year;

    return ((days_since_1970(year, rtc.month, rtc.day) * 24 + rtc.hour) * 60 + rtc.minute) * 60 +
           rtc.second;
}
