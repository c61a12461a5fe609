/* A disk that lacks something, by LD_PRELOAD: calls named in $REFUSES ("chmod:1 utime:95 symlink:13", with the number of
   the error) fail, and names longer than $SHORT_NAMES bytes are refused, as pathconf(3) says then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refused(const char *call) {
    const char *kinds = getenv("REFUSES"), *found = kinds ? strstr(kinds, call) : NULL;
    if (found) errno = atoi(found + strlen(call) + 1);
    return found != NULL;
}

static long limit(void) {
    const char *bytes = getenv("SHORT_NAMES");
    return bytes ? atol(bytes) : 255;
}

static int too_long(const char *path) {
    const char *name = strrchr(path, '/');
    if ((long)strlen(name ? name + 1 : path) <= limit()) return 0;
    errno = ENAMETOOLONG;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int chmod(const char *p, mode_t m) { return refused("chmod") ? -1 : REAL(chmod)(p, m); }
int fchmod(int f, mode_t m) { return refused("chmod") ? -1 : REAL(fchmod)(f, m); }
int fchmodat(int d, const char *p, mode_t m, int a) { return refused("chmod") ? -1 : REAL(fchmodat)(d, p, m, a); }
int futimens(int f, const struct timespec t[2]) { return refused("utime") ? -1 : REAL(futimens)(f, t); }
int utimensat(int d, const char *p, const struct timespec t[2], int a) {
    return refused("utime") ? -1 : REAL(utimensat)(d, p, t, a);
}
int symlink(const char *t, const char *p) { return refused("symlink") ? -1 : REAL(symlink)(t, p); }
int symlinkat(const char *t, int d, const char *p) { return refused("symlink") ? -1 : REAL(symlinkat)(t, d, p); }

#define OPEN(name, parameters, path, arguments)                                                                        \
    int name parameters {                                                                                              \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                                      \
        va_end(more);                                                                                                  \
        return too_long(path) ? -1 : REAL(name) arguments;                                                             \
    }
OPEN(open, (const char *p, int flags, ...), p, (p, flags, mode))
OPEN(open64, (const char *p, int flags, ...), p, (p, flags, mode))
OPEN(openat, (int d, const char *p, int flags, ...), p, (d, p, flags, mode))
OPEN(openat64, (int d, const char *p, int flags, ...), p, (d, p, flags, mode))
int mkdirat(int d, const char *p, mode_t m) { return too_long(p) ? -1 : REAL(mkdirat)(d, p, m); }
int mkdir(const char *p, mode_t m) { return too_long(p) ? -1 : REAL(mkdir)(p, m); }
int rename(const char *a, const char *b) { return too_long(b) ? -1 : REAL(rename)(a, b); }
int renameat(int c, const char *a, int d, const char *b) { return too_long(b) ? -1 : REAL(renameat)(c, a, d, b); }
int renameat2(int c, const char *a, int d, const char *b, unsigned f) {
    return too_long(b) ? -1 : REAL(renameat2)(c, a, d, b, f);
}
long pathconf(const char *p, int n) { return n == _PC_NAME_MAX ? limit() : REAL(pathconf)(p, n); }
long fpathconf(int f, int n) { return n == _PC_NAME_MAX ? limit() : REAL(fpathconf)(f, n); }
