/* Makes folders of a process as small as a test wants them: what would make their files grow beyond that fails with
 * ENOSPC, as it would on a full disk, or with EDQUOT.
 *
 * Loaded with LD_PRELOAD. A folder is limited while it has a file ".capacity" of lines "NAME BYTES": the file NAME may
 * have so many bytes, or with the name "*" all files of the folder together. What is deleted or cut gives its room
 * back. statvfs of the folder tells what "*" leaves, unless there is a line "quota 1": then it tells of the disk, and
 * growth fails with EDQUOT. All of that is read at every growth, so that a test can change it at any time.
 * Reads, and writes within a file, are what they are; so are files elsewhere.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

#define CAPACITY ".capacity"

/* What the files of a folder have, the limits aside. */
static long long used(const char *folder) {
    long long sum = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL) return 0;
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        struct stat file;
        if (strcmp(entry->d_name, CAPACITY) == 0) continue;
        if (fstatat(dirfd(entries), entry->d_name, &file, 0) == 0 && S_ISREG(file.st_mode)) sum += file.st_size;
    }
    closedir(entries);
    return sum;
}

/* The limit of a name in a folder, or -1. */
static long long limit(const char *folder, const char *name) {
    char path[PATH_MAX], word[256];
    long long bytes, found = -1;
    snprintf(path, sizeof path, "%s/" CAPACITY, folder);
    FILE *lines = fopen(path, "re");
    if (lines == NULL) return -1;
    while (fscanf(lines, "%255s %lld", word, &bytes) == 2)
        if (strcmp(word, name) == 0) found = bytes;
    fclose(lines);
    return found;
}

/* Whether a file may have `size` bytes. */
static int fits(int fd, long long size) {
    int saved = errno, fit = 1, quota = 0;
    struct stat file;
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && size > file.st_size) {
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length < 0 ? 0 : length] = 0;
        char *name = strrchr(path, '/');
        if (name != NULL) {
            *name++ = 0;
            long long own = limit(path, name), all = limit(path, "*");
            if (own >= 0 && size > own) fit = 0;
            if (all >= 0 && used(path) + size - file.st_size > all) fit = 0;
            quota = !fit && limit(path, "quota") >= 0;
        }
    }
    errno = fit ? saved : quota ? EDQUOT : ENOSPC;
    return fit;
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t count) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0 && !fits(fd, (long long)at + (long long)count)) return -1;
    return REAL("write", ssize_t (*)(int, const void *, size_t))(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    if (!fits(fd, (long long)at + (long long)count)) return -1;
    return REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return pwrite(fd, bytes, count, at);
}

int ftruncate(int fd, off_t length) {
    if (!fits(fd, length)) return -1;
    return REAL("ftruncate", int (*)(int, off_t))(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    return ftruncate(fd, length);
}

int posix_fallocate(int fd, off_t at, off_t length) {
    int saved = errno;
    if (!fits(fd, (long long)at + (long long)length)) {
        int why = errno;
        errno = saved;
        return why;
    }
    return REAL("posix_fallocate", int (*)(int, off_t, off_t))(fd, at, length);
}

int posix_fallocate64(int fd, off64_t at, off64_t length) {
    return posix_fallocate(fd, at, length);
}

int statvfs(const char *path, struct statvfs *figures) {
    int result = REAL("statvfs", int (*)(const char *, struct statvfs *))(path, figures);
    long long all = result == 0 && limit(path, "quota") < 0 ? limit(path, "*") : -1;
    if (all >= 0) {
        long long left = all - used(path);
        figures->f_bavail = left > 0 ? (fsblkcnt_t)left / figures->f_frsize : 0;
    }
    return result;
}

int statvfs64(const char *path, struct statvfs64 *figures) {
    return statvfs(path, (struct statvfs *)figures);
}
