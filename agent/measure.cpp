#include <sched.h>
#include <sys/resource.h>
#include <numeric>
#include "agent.h"

constexpr int kWindow = 2;         // runs whose sums are compared while warming up
constexpr size_t kPeriod = 1 << 10;  // values of an input before they begin again: making them takes longer than copying
void fill_normal(float* values, size_t count) {
    auto uniform = [state = 0x2545f491u]() mutable { return static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) / 16777216; };
    for (size_t index = 0; index < count; ++index) {
        values[index] = index < kPeriod ? -6 : values[index - kPeriod];  // and the sum of twelve uniform numbers
        for (int part = 0; part < 12 && index < kPeriod; ++part) values[index] += uniform();
    }
}

// Run at least `least` times, and on until the last runs are hardly faster than those before them; returns how often.
static uint32_t warm_up(const Job& job, uint32_t least, LoadedModel& model, bool warm, uint64_t deadline_ns) {
    std::vector<uint64_t> run_ns;
    const auto sum = [&run_ns](auto ago) { return std::accumulate(run_ns.end() - ago, run_ns.end() - ago + kWindow, 0.0); };
    uint64_t least_done_ns = 0;
    for (uint32_t runs = 0; least > 0; ++runs) {
        const uint64_t begin = raw_ns();
        if (runs <= least) least_done_ns = begin;
        const bool settled = runs >= 2 * kWindow && sum(kWindow) >= (1 - job.warmup_tolerance) * sum(2 * kWindow);
        if (runs >= least && (warm || settled || static_cast<double>(begin - least_done_ns) >= job.warmup_most_s * 1e9)) return runs;
        check_going(begin, deadline_ns);
        model.run();
        run_ns.push_back(raw_ns() - begin);
    }
    return 0;
}

static void time_runs(LoadedModel& model, std::vector<uint64_t>& sample_ns, uint64_t deadline_ns) {
    for (uint64_t& sample : sample_ns) {
        const uint64_t begin = raw_ns();
        model.run();
        const uint64_t end = raw_ns();
        sample = end - begin;
        check_going(end, deadline_ns);
    }
}

using Profile = std::vector<std::vector<OperatorTime>>;  // the operators of each run
static void profile_runs(LoadedModel& model, std::vector<uint64_t>& sample_ns, Profile& profile, uint64_t deadline_ns) {
    profile.resize(sample_ns.size());
    for (size_t run = 0; run < profile.size(); ++run) {
        sample_ns[run] = model.profiled_run(profile[run]);
        if (profile[run].size() != profile[0].size()) throw Failure("UNSUPPORTED", "the profiler tells other operators from run to run");
        check_going(raw_ns(), deadline_ns);
    }
}

Bytes measure_block(const Job& job, const PlannedBlock& block, LoadedModel& model, bool warm, const Machine& machine, uint64_t deadline_ns) {
    const uint64_t cooled_ns = machine.cool_down(job, deadline_ns);
    std::vector<uint64_t> sample_ns(block.runs);  // touched before the clock runs
    Profile profile(1);
    const uint32_t warmup_runs = warm_up(job, block.warmup_runs, model, warm, deadline_ns);
    const int32_t core = sched_getcpu();
    const uint32_t khz_before = machine.khz(core);
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    const uint64_t started_raw_ns = raw_ns(), started_unix_ns = clock_ns(CLOCK_REALTIME);
    if (block.profiled) profile_runs(model, sample_ns, profile, deadline_ns);
    else time_runs(model, sample_ns, deadline_ns);
    getrusage(RUSAGE_SELF, &after);
    const std::vector<int32_t> millidegrees = machine.millidegrees();
    Bytes payload;
    put(payload, warmup_runs, block.runs, core, khz_before, machine.khz(core));
    put(payload, static_cast<uint32_t>(after.ru_minflt - before.ru_minflt), static_cast<uint32_t>(after.ru_majflt - before.ru_majflt));
    put(payload, started_raw_ns, started_unix_ns, cooled_ns);
    put(payload, static_cast<uint32_t>(millidegrees.size()), static_cast<uint32_t>(profile[0].size()));
    put_bytes(payload, sample_ns.data(), sample_ns.size() * sizeof sample_ns[0]);
    put_bytes(payload, millidegrees.data(), millidegrees.size() * sizeof millidegrees[0]);
    for (size_t index = 0; index < profile[0].size(); ++index) {
        const std::string name = profile[0][index].name.substr(0, UINT16_MAX), kind = profile[0][index].kind.substr(0, UINT16_MAX);
        put(payload, static_cast<uint16_t>(name.size()), static_cast<uint16_t>(kind.size()), block.runs);
        put_text(payload, name + kind);
        for (const std::vector<OperatorTime>& run : profile) put(payload, run[index].ns);
    }
    return payload;
}
