/*
 * The tests of merging once more, with the other index: ksm_merge, on a kernel that was told to
 * begin with the trees.
 *
 * vm: --smp 4 --mem 512 --kernel-arg ksm.index=tree
 * timeout: 180
 * linux: no
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char program[256], text[64] = "";
    FILE *file = fopen("/sys/kernel/mm/ksm/index", "re");

    (void)argc;
    if (file) {
        if (!fgets(text, sizeof text, file)) {
            text[0] = '\0';
        }
        fclose(file);
    }
    if (strcmp(text, "hash [tree]\n") != 0) {
        printf("Bail out! the index is %s", text);
        return 1;
    }
    snprintf(program, sizeof program, "%.*sksm_merge", (int)(strrchr(argv[0], '/') + 1 - argv[0]),
             argv[0]);
    execl(program, program, (char *)NULL);
    perror(program);
    return 1;
}
