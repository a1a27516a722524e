/* Makes every fsync and fdatasync of a program slower by SLOW_FSYNC_US microseconds, to see what a
 * slow disk does to it:
 *
 *   cc -O2 -shared -fPIC -o slow_fsync.so slow_fsync.c -ldl
 *   SLOW_FSYNC_US=2000 LD_PRELOAD=./slow_fsync.so program
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void rest(void) {
    const char *text = getenv("SLOW_FSYNC_US");
    long us = text ? atol(text) : 0;
    struct timespec span = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&span, NULL);
}

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    rest();
    return real(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
