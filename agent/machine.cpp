#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <fstream>
#include <sstream>
#include "agent.h"

#ifndef POCKETNAS_NEEDS_ISA  // what the build lets the compiler take for granted
#define POCKETNAS_NEEDS_ISA ""
#endif

constexpr uint64_t kMillisecondNs = 1000000, kLookEveryNs = 500 * kMillisecondNs, kWakeNs = 50 * kMillisecondNs;
// Some zones hold currents, percentages or sensors that are off: what no chip survives is no temperature.
constexpr int32_t kHottestMillidegrees = 150000;
template <typename Value>
static Value read(const std::string& path, Value otherwise) {
    Value value;
    return std::ifstream(path) >> value ? value : otherwise;
}

Machine::Machine(std::string sysfs) : sysfs_(std::move(sysfs)) {
    for (int index = 0;; ++index) {
        const std::string zone = sysfs_ + "/class/thermal/thermal_zone" + std::to_string(index);
        std::string name = read<std::string>(zone + "/type", "");
        if (name.empty()) break;
        if (read(zone + "/temp", INT32_MIN) == INT32_MIN) continue;
        std::replace(name.begin(), name.end(), ',', '_');
        zones += (paths_.empty() ? "" : ",") + name;
        paths_.push_back(zone + "/temp");
    }
}

std::vector<int32_t> Machine::millidegrees() const {
    std::vector<int32_t> found;
    for (const std::string& path : paths_) found.push_back(read(path, INT32_MIN));
    return found;
}

uint32_t Machine::khz(int core, const char* which) const {
    return read(sysfs_ + "/devices/system/cpu/cpu" + std::to_string(core) + "/cpufreq/" + which, uint32_t{0});
}

std::string Machine::too_warm(const Job& job) const {
    for (const int32_t zone : job.temperature_limit_c > 0 ? millidegrees() : std::vector<int32_t>()) {
        if (zone <= job.temperature_limit_c * 1000 || zone > kHottestMillidegrees) continue;
        return "a thermal zone has " + std::to_string(zone / 1000) + " degrees C";
    }
    if (job.frequency_share == 0) return "";
    const int core = sched_getcpu();
    const double least_khz = job.frequency_share * khz(core, "cpuinfo_max_freq");
    // A core that rests is slow of itself, so it works for a while before it is judged.
    for (const uint64_t end = raw_ns() + kWakeNs; khz(core) < least_khz && raw_ns() < end;) {}
    const uint32_t now_khz = khz(core);
    return now_khz == 0 || now_khz >= least_khz ? "" : "core " + std::to_string(core) + " is at " + std::to_string(now_khz) + " kHz";
}

uint64_t Machine::cool_down(const Job& job, uint64_t deadline_raw_ns) const {
    const uint64_t begin = raw_ns();
    uint64_t rested_ns = 0;
    for (std::string why = too_warm(job); !why.empty(); why = too_warm(job), rested_ns = raw_ns() - begin) {
        if (static_cast<double>(rested_ns) >= job.cooldown_s * 1e9) throw Failure("THROTTLED", why);
        for (const uint64_t end = raw_ns() + kLookEveryNs; raw_ns() < end; check_going(raw_ns(), deadline_raw_ns)) {
            const timespec tick{0, 20 * kMillisecondNs};
            nanosleep(&tick, nullptr);
        }
    }
    return rested_ns;
}

std::string isa() {
    std::string found;
    const auto add = [&found](bool has, const char* name) { if (has) found += (found.empty() ? "" : " ") + std::string(name); };
#if defined(__aarch64__)
    // Bits of the kernel's arch/arm64/include/uapi/asm/hwcap.h, of which older toolchains know a part.
    const unsigned long words[] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    constexpr struct { int word, bit; const char* name; } kBits[] = {
        {0, 1, "asimd"}, {0, 8, "atomics"}, {0, 9, "fphp"}, {0, 10, "asimdhp"}, {0, 20, "asimddp"}, {0, 22, "sve"}, {0, 23, "asimdfhm"},
        {1, 1, "sve2"}, {1, 9, "svei8mm"}, {1, 12, "svebf16"}, {1, 13, "i8mm"}, {1, 14, "bf16"}};
    for (const auto& each : kBits) add(words[each.word] >> each.bit & 1, each.name);
#else
    add(__builtin_cpu_supports("avx"), "avx"), add(__builtin_cpu_supports("fma"), "fma"), add(__builtin_cpu_supports("avx2"), "avx2");
    add(__builtin_cpu_supports("avx512f"), "avx512f"), add(__builtin_cpu_supports("avx512vnni"), "avx512vnni");
#endif
    return found;
}

void require_isa() {
    std::istringstream needed(POCKETNAS_NEEDS_ISA);
    for (std::string word; needed >> word;) {
        const bool known = (" " + isa() + " ").find(" " + word + " ") != std::string::npos;
        if (!known) throw Failure("UNKNOWN_ISA", "the program needs " + word + " and the processor has " + isa());
    }
}

void pin(uint64_t mask) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (size_t core = 0; core < 64; ++core) if (mask >> core & 1) CPU_SET(core, &cores);
    if (mask == 0 || sched_setaffinity(0, sizeof cores, &cores) == 0) return;
    throw Failure("NO_CORES", std::string("the core mask cannot be used: ") + strerror(errno));
}

bool lock_memory() {
    // Under a finite limit later allocations would fail; without ONFAULT whole stacks and arenas would be made present.
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0 && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

uint64_t named_kb(const char* path, const std::string& name) {
    std::ifstream words(path);
    uint64_t kb = 0;
    for (std::string word; kb == 0 && words >> word;) if (word == name) words >> kb;
    return kb;
}

void limit_memory() {
    const auto used_pages = read("/proc/self/statm", uint64_t{0});
    const uint64_t available_kb = named_kb("/proc/meminfo", "MemAvailable:");
    rlimit limit{};
    if (used_pages == 0 || available_kb == 0 || getrlimit(RLIMIT_AS, &limit) != 0) return;
    limit.rlim_cur = std::min<rlim_t>(used_pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + available_kb * 1024, limit.rlim_max);
    setrlimit(RLIMIT_AS, &limit);
}
