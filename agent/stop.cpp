#include <poll.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <csignal>
#include "agent.h"

constexpr int kTickUs = 250000, kTicksToLeave = 3, kExitStopped = 143;
// All that the signal handlers share with the program.
static volatile sig_atomic_t stop_flag = 0, ticks_since_stop = 0;
static pid_t first_parent = 0;

static void on_tick(int) {
    pollfd output{STDOUT_FILENO, 0, 0};
    const bool unread = poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
    if (stop_flag && (ticks_since_stop = ticks_since_stop + 1) >= kTicksToLeave) _exit(kExitStopped);
    if (unread || getppid() != first_parent) stop_flag = 1;
}

void watch_for_stop() {
    first_parent = getppid();
    for (const int ignored : std::vector<int>{SIGPIPE, SIGXFSZ}) signal(ignored, SIG_IGN);  // write tells
    for (const int stopping : std::vector<int>{SIGTERM, SIGINT, SIGHUP}) signal(stopping, [](int) { stop_flag = 1; });
    signal(SIGALRM, on_tick);
    prctl(PR_SET_PDEATHSIG, SIGALRM);  // a tick, not SIGTERM: it also comes when only the parent's thread that started us ends
    const itimerval every{{0, kTickUs}, {0, kTickUs}};
    setitimer(ITIMER_REAL, &every, nullptr);
}

void request_stop() { stop_flag = 1; }
void check_going(uint64_t now_raw_ns, uint64_t deadline_raw_ns) {
    if (stop_flag) throw Stopped{false};
    if (now_raw_ns >= deadline_raw_ns) throw Stopped{true};
}
