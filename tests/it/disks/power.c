/* A disk whose machine may lose its power: of each database and log below POWER_DIR the file of the same
 * name below POWER_UNDO says how to take back whatever was written since it was last synced. What a sync
 * that failed was to bring to the disk stays lost, as with the page cache of Linux: no later sync brings
 * it there, unless it is written once more. The file POWER_FAULT says which sync fails next, and is removed
 * when it has: "beside", the next of a database through a descriptor that only reads; "within", the next
 * of a database through one that writes.
 *
 *   cc -O1 -shared -fPIC -o power.so power.c -ldl
 *   POWER_DIR=/tmp/data POWER_UNDO=/tmp/undo POWER_FAULT=/tmp/fault LD_PRELOAD=./power.so program
 *
 * A file of undoing: the size at the last sync, then blocks: number, length, bytes as they were; all numbers
 * of 8 bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096
#define BLOCKS (1 << 16)
#define FILES 32
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct file {
    dev_t dev;
    ino_t ino;
    int undo, log;
    struct block { char state; int64_t length; char *bytes; } *blocks;
};
enum { CLEAN, DIRTY, LOST };

static struct file files[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note(struct file *file, const void *bytes, size_t n) {
    if (REAL(write)(file->undo, bytes, n) != (ssize_t)n) abort();
}

static void note_block(struct file *file, int64_t number) {
    struct block *block = &file->blocks[number];
    int64_t head[2] = { number, block->length };
    note(file, head, sizeof head);
    note(file, block->bytes, block->length);
}

/* The file behind a descriptor, if it is a database or a log of ours. */
static struct file *known(int fd) {
    const char *dir = getenv("POWER_DIR"), *undo = getenv("POWER_UNDO"), *name;
    char link[64], path[4096], aside[4200];
    struct stat stat;
    ssize_t n;
    int i;
    if (!dir || !undo || fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) return NULL;
    for (i = 0; i < FILES && files[i].blocks; i++)
        if (files[i].dev == stat.st_dev && files[i].ino == stat.st_ino) return &files[i];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if ((n = readlink(link, path, sizeof path - 1)) <= 0) return NULL;
    path[n] = 0;
    name = strrchr(path, '/') + 1;
    if (strncmp(path, dir, strlen(dir)) || !strstr(name, ".db")) return NULL;
    if (strcmp(strstr(name, ".db"), ".db") && strcmp(strstr(name, ".db"), ".db-wal")) return NULL;
    if (i == FILES || !(files[i].blocks = calloc(BLOCKS, sizeof *files[i].blocks))) abort();
    snprintf(aside, sizeof aside, "%s/%s", undo, name);
    files[i].undo = open(aside, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    files[i].dev = stat.st_dev, files[i].ino = stat.st_ino;
    files[i].log = strstr(name, "-wal") != NULL;
    int64_t size = stat.st_size;
    if (files[i].undo < 0) abort();
    note(&files[i], &size, sizeof size);
    return &files[i];
}

static void keep(struct file *file, int fd, off_t from, off_t to) {
    static char bytes[BLOCK];
    for (int64_t number = from / BLOCK; number * BLOCK < to; number++) {
        struct block *block = &file->blocks[number];
        if (number >= BLOCKS) abort();
        if (block->state == CLEAN) {
            ssize_t n = REAL(pread64)(fd, bytes, BLOCK, number * BLOCK);
            block->length = n > 0 ? n : 0;
            block->bytes = memcpy(malloc(BLOCK), bytes, BLOCK);
            note_block(file, number);
        }
        block->state = DIRTY;
    }
}

static void before_write(int fd, off_t at, size_t n) {
    pthread_mutex_lock(&lock);
    struct file *file = known(fd);
    if (file) keep(file, fd, at, at + n);
    pthread_mutex_unlock(&lock);
}

static void before_cut(int fd, off_t size) {
    struct stat stat;
    pthread_mutex_lock(&lock);
    struct file *file = known(fd);
    if (file && fstat(fd, &stat) == 0 && stat.st_size > size) keep(file, fd, size, stat.st_size);
    pthread_mutex_unlock(&lock);
}

static int fails(struct file *file, int fd) {
    const char *fault = getenv("POWER_FAULT");
    char word[16] = "";
    int told;
    if (file->log || !fault || (told = open(fault, O_RDONLY | O_CLOEXEC)) < 0) return 0;
    if (read(told, word, sizeof word - 1) < 0) abort();
    close(told);
    int reads = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
    if (strncmp(word, reads ? "beside" : "within", 6) != 0) return 0;
    return unlink(fault) == 0;
}

/* What was written before is on the disk now; true if nothing is known of the file, or if it failed. */
static int synced(int fd, int *answer) {
    struct stat stat;
    /* As long as a disk takes: what is written meanwhile may be lost. */
    usleep(1000);
    pthread_mutex_lock(&lock);
    struct file *file = known(fd);
    if (!file) {
        pthread_mutex_unlock(&lock);
        return 0;
    }
    int failed = fails(file, fd);
    if (fstat(fd, &stat) != 0) abort();
    int64_t size = stat.st_size;
    if (!failed) {
        if (REAL(ftruncate64)(file->undo, 0) != 0) abort();
        note(file, &size, sizeof size);
    }
    for (int64_t number = 0; number < BLOCKS; number++) {
        struct block *block = &file->blocks[number];
        if (block->state == CLEAN) continue;
        if (failed) {
            block->state = LOST;
        } else if (block->state == LOST) {
            note_block(file, number);
        } else {
            free(block->bytes);
            block->state = CLEAN;
        }
    }
    pthread_mutex_unlock(&lock);
    *answer = failed ? -1 : 0;
    if (failed) errno = EIO;
    return 1;
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at) { before_write(fd, at, n); return REAL(pwrite)(fd, from, n, at); }
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) { before_write(fd, at, n); return REAL(pwrite64)(fd, from, n, at); }
int ftruncate(int fd, off_t size) { before_cut(fd, size); return REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { before_cut(fd, size); return REAL(ftruncate64)(fd, size); }
int fsync(int fd) { int answer; return synced(fd, &answer) ? answer : REAL(fsync)(fd); }
int fdatasync(int fd) { int answer; return synced(fd, &answer) ? answer : REAL(fdatasync)(fd); }
