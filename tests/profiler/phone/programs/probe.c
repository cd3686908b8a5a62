/* What tests run on an emulated phone: a program that does one small thing, named by its first word. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(int file, const char *text) {
    if (write(file, text, strlen(text)) < 0) _exit(9);
}

static void hear(int number) {
    char line[32];
    snprintf(line, sizeof line, "heard %d\n", number);
    say(1, line);
    _exit(5);
}

static int show(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        char part[4096];
        ssize_t bytes;
        int file = open(paths[i], O_RDONLY);
        if (file < 0) {
            perror(paths[i]);
            return 1;
        }
        while ((bytes = read(file, part, sizeof part)) > 0)
            if (write(1, part, bytes) < 0) return 9;
        close(file);
    }
    return 0;
}

/* Lines into a file and to standard output, some milliseconds apart. */
static int tick(const char *path, int count, int pause_ms) {
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file < 0) return 1;
    for (int i = 0; i < count; i++) {
        char line[32];
        snprintf(line, sizeof line, "tick %d\n", i);
        say(file, line);
        say(1, line);
        usleep(1000 * pause_ms);
    }
    return 0;
}

static int lock(const char *path, int seconds) {
    int file = open(path, O_RDWR | O_CREAT, 0644);
    if (file < 0 || flock(file, LOCK_EX | LOCK_NB)) {
        say(1, "busy\n");
        return 2;
    }
    say(1, "mine\n");
    sleep(seconds);
    return 0;
}

/* Waits until nobody reads its output any more, and writes that down. */
static int wait_alone(const char *path) {
    struct pollfd output = {1, 0, 0};
    say(1, "ready\n");
    while (!(output.revents & (POLLERR | POLLHUP))) poll(&output, 1, 50);
    say(open(path, O_WRONLY | O_CREAT, 0644), "alone\n");
    return 0;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "words"))
        for (int i = 0; i < count; i++) puts(words[i]);
    else if (!strcmp(what, "show"))
        return show(count - 2, words + 2);
    else if (!strcmp(what, "tick"))
        return tick(words[2], atoi(words[3]), atoi(words[4]));
    else if (!strcmp(what, "lock"))
        return lock(words[2], atoi(words[3]));
    else if (!strcmp(what, "alone"))
        return wait_alone(words[2]);
    else if (!strcmp(what, "hear")) {
        signal(SIGTERM, hear);
        say(1, "ready\n");
        for (;;) pause();
    } else if (!strcmp(what, "change")) /* removes one file, puts another in a new folder, and renames it */
        return unlink(words[2]) || mkdir("new", 0755) || tick("new/a", 1, 0) || rename("new/a", "new/b");
    else if (!strcmp(what, "variable"))
        puts(getenv(words[2]) ? getenv(words[2]) : "unset");
    else if (!strcmp(what, "cores"))
        printf("%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    else if (!strcmp(what, "abort"))
        abort();
    else
        return count > 1 ? atoi(what) : 0;
    return 0;
}
