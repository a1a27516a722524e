/* A disk that fails when it is told to: what stands in the file FAULT_FILE says how, for files below
 * FAULT_DIR. "full": nothing can be written (ENOSPC). "sync": nothing is brought to the disk (EIO).
 *
 *   cc -O1 -shared -fPIC -o faulty.so faulty.c -ldl
 *   FAULT_FILE=/tmp/fault FAULT_DIR=/tmp/data LD_PRELOAD=./faulty.so program
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int struck(int fd, const char *how) {
    const char *file = getenv("FAULT_FILE"), *dir = getenv("FAULT_DIR");
    char word[16] = "", link[64], path[4096];
    int told;
    ssize_t n;
    if (!file || !dir || (told = open(file, O_RDONLY | O_CLOEXEC)) < 0)
        return 0;
    n = read(told, word, sizeof word - 1);
    close(told);
    if (n < (ssize_t)strlen(how) || strncmp(word, how, strlen(how)) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    return n > 0 && strncmp(path, dir, strlen(dir)) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FULL(fd) if (struck(fd, "full")) { errno = ENOSPC; return -1; }
#define SYNC(fd) if (struck(fd, "sync")) { errno = EIO; return -1; }

ssize_t write(int fd, const void *from, size_t n) { FULL(fd) return REAL(write)(fd, from, n); }
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) { FULL(fd) return REAL(pwrite)(fd, from, n, at); }
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) { FULL(fd) return REAL(pwrite64)(fd, from, n, at); }
int fsync(int fd) { SYNC(fd) return REAL(fsync)(fd); }
int fdatasync(int fd) { SYNC(fd) return REAL(fdatasync)(fd); }
