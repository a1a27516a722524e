/* The smallest program that can say when it began: without a C library's start-up, its first
 * instructions read CLOCK_MONOTONIC and write (nanoseconds, pid) into the FIFO that it is given.
 *
 *   cc -O2 -static -nostdlib -ffreestanding -fno-stack-protector -o first first.c
 */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
enum { WRITE = 1, OPEN = 2, GETPID = 39, CLOCK = 228, PAUSE = 34 };
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
static long open_to_write(const char *path) { return call(OPEN, (long)path, 1, 0); }
static void rest(void) { call(PAUSE, 0, 0, 0); }
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n mov x0, sp\n bl begin\n");
enum { WRITE = 64, OPENAT = 56, GETPID = 172, CLOCK = 113, PPOLL = 73 };
static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = 0, x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
static long open_to_write(const char *path) { return call(OPENAT, -100, (long)path, 1); }
static void rest(void) { call(PPOLL, 0, 0, 0); }
#else
#error "only x86_64 and aarch64"
#endif

void begin(long *stack) {
    long time[2];
    call(CLOCK, 1, (long)time, 0);
    long stamp[2] = {time[0] * 1000000000L + time[1], call(GETPID, 0, 0, 0)};
    call(WRITE, open_to_write((const char *)stack[2]), (long)stamp, sizeof stamp);
    for (;;) rest();
}
