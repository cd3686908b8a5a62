// The machine under the program: clocks, cores, memory, frequencies, temperatures.
#pragma once

#include <ctime>
#include <map>

#include "job.h"

inline uint64_t raw_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

#if defined(__aarch64__)
#define POCKETNAS_TARGET "aarch64"
#else
#define POCKETNAS_TARGET "x86_64"
#endif

constexpr int32_t kNoTemperature = INT32_MIN;  // a zone that could not be read this time

class Machine {
public:
    // Find the thermal zones; `sysfs` is "/sys" but for tests.
    explicit Machine(std::string sysfs);

    std::vector<int32_t> millidegrees() const;
    const std::string& zones() const { return zone_names_; }  // joined by commas, in the order of millidegrees
    uint32_t khz(int core) const;                             // the frequency now; 0 unknown
    // Rest until it is cooler than the job's limit and fast enough again, at most cooldown_s; returns the ns it took.
    // Failure: THROTTLED.
    uint64_t cool_down(const Job& job) const;

private:
    std::string too_warm(const Job& job) const;  // what is wrong; empty where nothing is
    std::string read(const std::string& path) const;

    std::string sysfs_, zone_names_;
    std::vector<File> zones_;
};

struct Faults {
    uint32_t minor, major;
};
Faults page_faults();
uint64_t peak_rss_bytes();

std::string isa();           // extensions of this processor that matter to inference, separated by spaces
void require_isa();          // Failure: UNKNOWN_ISA, where the program was built for more than this processor has
void pin(uint64_t mask);     // Failure: NO_CORES
bool lock_memory();          // whether pages that were touched stay in memory
void limit_memory();         // from now on allocate no more than is available: bad_alloc instead of a killed phone
int online_cores();
