/* launch_activate_socket(3) for a machine without launchd, to be preloaded (LD_PRELOAD). One socket name, "api";
   FAKE_LAUNCHD_FDS: its descriptors, comma-separated; unset: this process was not started by launchd (ESRCH).
   FAKE_LAUNCHD_ERRNO: refuse with this number. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int launch_activate_socket(const char *name, int **fds, size_t *count)
{
    static int taken;
    const char *given = getenv("FAKE_LAUNCHD_FDS"), *refusal = getenv("FAKE_LAUNCHD_ERRNO");
    if (refusal)
        return atoi(refusal);
    if (!given)
        return ESRCH;
    if (strcmp(name, "api"))
        return ENOENT;
    if (taken++)
        return EALREADY;
    char *copy = strdup(given);
    *fds = malloc(strlen(given) * sizeof **fds + sizeof **fds);
    *count = 0;
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ","))
        (*fds)[(*count)++] = atoi(word);
    free(copy);
    return 0;
}
