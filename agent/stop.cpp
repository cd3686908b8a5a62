#include "stop.h"

#include <csignal>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

constexpr int kTickMicroseconds = 250000, kTicksToLeave = 3, kExitStopped = 143;

// All that the signal handlers share with the program.
volatile sig_atomic_t stop_flag = 0;
volatile sig_atomic_t ticks_since_stop = 0;
pid_t first_parent = 0;

void on_stop(int) { stop_flag = 1; }

void on_tick(int) {
    if (stop_flag) {
        ticks_since_stop = ticks_since_stop + 1;
        if (ticks_since_stop >= kTicksToLeave) _exit(kExitStopped);
        return;
    }
    pollfd output{STDOUT_FILENO, 0, 0};
    const bool unread = poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
    if (unread || getppid() != first_parent) stop_flag = 1;
}

void handle(int signal_number, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(signal_number, &action, nullptr);
}

}  // namespace

void watch_for_stop() {
    first_parent = getppid();
    handle(SIGPIPE, SIG_IGN);  // a reader that is gone is found by write and poll
    handle(SIGXFSZ, SIG_IGN);  // a file that may not grow is found by write
    handle(SIGTERM, on_stop);
    handle(SIGINT, on_stop);
    handle(SIGHUP, on_stop);
    handle(SIGALRM, on_tick);
    // Not SIGTERM: the signal also comes when only the parent's thread that started us ends, which the tick tells apart.
    prctl(PR_SET_PDEATHSIG, SIGALRM);
    const itimerval every{{0, kTickMicroseconds}, {0, kTickMicroseconds}};
    setitimer(ITIMER_REAL, &every, nullptr);
}

bool stop_requested() { return stop_flag != 0; }

void request_stop() { stop_flag = 1; }
