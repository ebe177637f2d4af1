/* A disk that fails on demand, for one process: preloaded, it stands before the system calls with which SQLite writes.
 *
 * In: the file named by BAD_DISK, whose first letter says what is wrong now. Out: the errors of such a disk, for the
 * database's files. Never here: any other file, and any change to what is written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* What is wrong now, as far as this file is concerned: 'w' writes fail, 's' syncs fail, 'r' it is read-only, else 0. */
static char wrong(int fd) {
    const char *control = getenv("BAD_DISK");
    char letter = 0, link[64], path[4096];
    if (control == NULL) return 0;
    int file = open(control, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, &letter, 1) != 1) letter = 0;
    close(file);
    if (letter == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/offhook.db") != NULL ? letter : 0;
}

static int refuses_writes(int fd) {
    switch (wrong(fd)) {
    case 'w': errno = EIO; return 1;
    case 'r': errno = EROFS; return 1;
    default: return 0;
    }
}

static int refuses_syncs(int fd) {
    if (wrong(fd) != 's') return 0;
    errno = EIO;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
    return refuses_writes(fd) ? -1 : REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return refuses_writes(fd) ? -1 : REAL(pwrite)(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return refuses_writes(fd) ? -1 : REAL(pwrite64)(fd, bytes, count, offset);
}

int fsync(int fd) {
    return refuses_syncs(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return refuses_syncs(fd) ? -1 : REAL(fdatasync)(fd);
}
