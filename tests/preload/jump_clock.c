/* Sets the wall clock of a process forwards and back while it runs. Other clocks go on as they do.
 *
 * Loaded with LD_PRELOAD; wraps clock_gettime for CLOCK_REALTIME and its coarse sister, gettimeofday and time.
 *   STOMPBOX_CLOCK_OFFSET  a file of eight bytes: by how many milliseconds the clock is ahead, a signed integer in the
 *                          machine's byte order. It is mapped, so that a write is seen at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *offset_ms;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("STOMPBOX_CLOCK_OFFSET");
    if (path == NULL) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) abort();
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) abort();
    close(file);
    offset_ms = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    /* Before the constructor has run, libraries may ask already. */
    if (real_clock_gettime == NULL) begin();
    int result = real_clock_gettime(clock, now);
    if (result != 0 || offset_ms == NULL) return result;
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return result;
    int64_t ms = atomic_load(offset_ms);
    int64_t ns = now->tv_nsec + (ms % 1000) * 1000000;
    now->tv_sec += ms / 1000;
    if (ns < 0) {
        ns += 1000000000;
        now->tv_sec -= 1;
    } else if (ns >= 1000000000) {
        ns -= 1000000000;
        now->tv_sec += 1;
    }
    now->tv_nsec = ns;
    return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *also) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (also != NULL) *also = exact.tv_sec;
    return exact.tv_sec;
}
