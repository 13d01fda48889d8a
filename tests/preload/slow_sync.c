/* Makes every disk sync of a process slow, or fail, and writes down when each one began and ended.
 *
 * Loaded with LD_PRELOAD; wraps fsync and fdatasync.
 *   STOMPBOX_SYNC_CONTROL  a file, read at every sync. Absent or empty: syncs pass through. "delay MS": the real
 *                          sync, then MS milliseconds, before it returns. "fail": no sync, EIO.
 *   STOMPBOX_SYNC_LOG      a file that gets a line before ("begin N") and after ("end N") every sync, with
 *                          CLOCK_MONOTONIC in microseconds, the result and the file. The end line is written before
 *                          the caller learns of the end: what the caller then does comes later than the line.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_long sync_count;

static long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void note(const char *edge, long number, int result, int fd) {
    const char *path = getenv("STOMPBOX_SYNC_LOG");
    if (path == NULL) return;
    char link[64], file[512], line[700];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, file, sizeof file - 1);
    file[length < 0 ? 0 : length] = 0;
    int count = snprintf(line, sizeof line, "%s %ld %lld %d %s\n", edge, number, now_us(), result, file);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) abort();
    /* One write, appended: lines of several threads do not mix. */
    if (write(log, line, (size_t)count) != count) abort();
    close(log);
}

/* Milliseconds to wait, or -1 to fail. */
static long mode(void) {
    const char *path = getenv("STOMPBOX_SYNC_CONTROL");
    if (path == NULL) return 0;
    int control = open(path, O_RDONLY | O_CLOEXEC);
    if (control < 0) return 0;
    char text[64];
    ssize_t length = read(control, text, sizeof text - 1);
    close(control);
    text[length < 0 ? 0 : length] = 0;
    if (strncmp(text, "fail", 4) == 0) return -1;
    if (strncmp(text, "delay ", 6) == 0) return atol(text + 6);
    return 0;
}

static int slowly(int (*real)(int), int fd) {
    int saved = errno;
    long number = atomic_fetch_add(&sync_count, 1) + 1;
    long wait_ms = mode();
    note("begin", number, 0, fd);
    if (wait_ms < 0) {
        note("end", number, -1, fd);
        errno = EIO;
        return -1;
    }
    int result = real(fd);
    if (result != 0) saved = errno;
    struct timespec left = {wait_ms / 1000, (wait_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    note("end", number, result, fd);
    errno = saved;
    return result;
}

int fsync(int fd) {
    return slowly((int (*)(int))dlsym(RTLD_NEXT, "fsync"), fd);
}

int fdatasync(int fd) {
    return slowly((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"), fd);
}
