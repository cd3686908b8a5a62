#include "machine.h"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sstream>

#include "stop.h"

#ifndef POCKETNAS_NEEDS_ISA  // what the build told the compiler to take for granted
#define POCKETNAS_NEEDS_ISA ""
#endif

namespace {

constexpr uint64_t kMillisecondNs = 1000000, kSecondNs = 1000000000;
constexpr uint64_t kLookEveryNs = 500 * kMillisecondNs, kWakeNs = 50 * kMillisecondNs;
// Zones also hold currents, percentages and sensors that are off: what no chip survives is no temperature.
constexpr int32_t kHottestMillidegrees = 150000;

int32_t read_millidegrees(int file) {
    char text[32];
    const ssize_t size = pread(file, text, sizeof text - 1, 0);
    if (size <= 0) return kNoTemperature;
    text[size] = 0;
    return static_cast<int32_t>(strtol(text, nullptr, 10));
}

void rest(uint64_t ns) {
    for (const uint64_t end = raw_ns() + ns; raw_ns() < end && !stop_requested();) {
        const timespec tick{0, 50 * kMillisecondNs};
        nanosleep(&tick, nullptr);
    }
}

void spin(uint64_t ns) {
    for (const uint64_t end = raw_ns() + ns; raw_ns() < end && !stop_requested();) {}
}

bool has_word(const std::string& words, const std::string& word) {
    return (" " + words + " ").find(" " + word + " ") != std::string::npos;
}

}  // namespace

Machine::Machine(std::string sysfs) : sysfs_(std::move(sysfs)) {
    for (int index = 0;; ++index) {
        const std::string zone = "/class/thermal/thermal_zone" + std::to_string(index);
        std::string name = read(zone + "/type");
        if (name.empty()) break;
        File file(open((sysfs_ + zone + "/temp").c_str(), O_RDONLY | O_CLOEXEC));
        if (file.get() < 0 || read_millidegrees(file.get()) == kNoTemperature) continue;
        std::replace(name.begin(), name.end(), ',', '_');
        zone_names_ += (zones_.empty() ? "" : ",") + name;
        zones_.push_back(std::move(file));
    }
}

std::string Machine::read(const std::string& path) const {
    std::ifstream file(sysfs_ + path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::vector<int32_t> Machine::millidegrees() const {
    std::vector<int32_t> found;
    for (const File& zone : zones_) found.push_back(read_millidegrees(zone.get()));
    return found;
}

uint32_t Machine::khz(int core) const {
    const std::string text = read("/devices/system/cpu/cpu" + std::to_string(core) + "/cpufreq/scaling_cur_freq");
    return static_cast<uint32_t>(strtoul(text.c_str(), nullptr, 10));
}

std::string Machine::too_warm(const Job& job) const {
    if (job.temperature_limit_c > 0) {
        for (const int32_t zone : millidegrees()) {
            if (zone > job.temperature_limit_c * 1000 && zone <= kHottestMillidegrees) {
                return std::to_string(zone) + " millidegrees in a thermal zone";
            }
        }
    }
    if (job.frequency_share > 0) {
        const int core = sched_getcpu();
        const std::string most = read("/devices/system/cpu/cpu" + std::to_string(core) + "/cpufreq/cpuinfo_max_freq");
        const double least_khz = job.frequency_share * strtod(most.c_str(), nullptr);
        // A core that rests is slow of itself, so it works for a while before it is judged.
        if (khz(core) < least_khz) spin(kWakeNs);
        const uint32_t now_khz = khz(core);
        if (now_khz > 0 && now_khz < least_khz) return "core " + std::to_string(core) + " at " + std::to_string(now_khz) + " kHz";
    }
    return "";
}

uint64_t Machine::cool_down(const Job& job) const {
    std::string why = too_warm(job);
    if (why.empty()) return 0;
    const uint64_t begin = raw_ns();
    while (!why.empty()) {
        if (stop_requested()) throw Stopped{false};
        if (static_cast<double>(raw_ns() - begin) >= job.cooldown_s * kSecondNs) throw Failure("THROTTLED", why);
        rest(kLookEveryNs);
        why = too_warm(job);
    }
    return raw_ns() - begin;
}

Faults page_faults() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return {static_cast<uint32_t>(usage.ru_minflt), static_cast<uint32_t>(usage.ru_majflt)};
}

uint64_t peak_rss_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

std::string isa() {
    std::string found;
    const auto add = [&found](bool has, const char* name) {
        if (has) found += (found.empty() ? "" : " ") + std::string(name);
    };
#if defined(__aarch64__)
    // Bits of the kernel's arch/arm64/include/uapi/asm/hwcap.h, which older toolchains do not know all of.
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    constexpr struct { int bit; const char* name; } kFirst[] = {
        {1, "asimd"}, {8, "atomics"}, {9, "fphp"}, {10, "asimdhp"}, {20, "asimddp"}, {22, "sve"}, {23, "asimdfhm"}};
    constexpr struct { int bit; const char* name; } kSecond[] = {
        {1, "sve2"}, {9, "svei8mm"}, {12, "svebf16"}, {13, "i8mm"}, {14, "bf16"}, {23, "sme"}};
    for (const auto& [bit, name] : kFirst) add(first >> bit & 1, name);
    for (const auto& [bit, name] : kSecond) add(second >> bit & 1, name);
#else
    add(__builtin_cpu_supports("sse4.2"), "sse4.2");
    add(__builtin_cpu_supports("avx"), "avx");
    add(__builtin_cpu_supports("fma"), "fma");
    add(__builtin_cpu_supports("avx2"), "avx2");
    add(__builtin_cpu_supports("avx512f"), "avx512f");
    add(__builtin_cpu_supports("avx512vnni"), "avx512vnni");
#endif
    return found;
}

void require_isa() {
    const std::string found = isa();
    std::istringstream needed(POCKETNAS_NEEDS_ISA);
    for (std::string word; needed >> word;) {
        if (!has_word(found, word)) throw Failure("UNKNOWN_ISA", "the program needs " + word + "; the processor has " + found);
    }
}

void pin(uint64_t mask) {
    if (mask == 0) return;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int core = 0; core < 64; ++core) {
        if (mask >> core & 1) CPU_SET(core, &cores);
    }
    if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
        throw Failure("NO_CORES", std::string("the core mask cannot be used: ") + strerror(errno));
    }
}

bool lock_memory() {
    // Under a finite limit, locking what comes later would make allocations fail.
    rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &limit);
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur != RLIM_INFINITY) return false;
#ifdef MCL_ONFAULT  // only what is touched, not whole stacks and arenas
    return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
#else
    return false;
#endif
}

void limit_memory() {
    uint64_t used_pages = 0, available_kb = 0;
    std::ifstream("/proc/self/statm") >> used_pages;
    std::ifstream memory("/proc/meminfo");
    for (std::string line; std::getline(memory, line);) {
        if (line.compare(0, 13, "MemAvailable:") == 0) available_kb = strtoull(line.c_str() + 13, nullptr, 10);
    }
    rlimit limit{};
    if (used_pages == 0 || available_kb == 0 || getrlimit(RLIMIT_AS, &limit) != 0) return;
    const rlim_t wanted = used_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + available_kb * 1024;
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    setrlimit(RLIMIT_AS, &limit);
}

int online_cores() { return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)); }
