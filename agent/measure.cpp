#include "measure.h"

#include <algorithm>
#include <sched.h>

#include "stop.h"

namespace {

constexpr uint32_t kWindow = 5;  // runs whose means are compared while warming up

void check_going(uint64_t now_ns, Deadline deadline) {
    if (stop_requested()) throw Stopped{false};
    if (now_ns >= deadline.raw_ns) throw Stopped{true};
}

// Run at least `least` times, and on until the last runs are hardly faster than those before them; returns how often.
uint32_t warm_up(const Job& job, uint32_t least, LoadedModel& model, Deadline deadline) {
    uint64_t recent[2 * kWindow] = {};
    uint64_t least_done_ns = raw_ns();
    for (uint32_t runs = 0;; ++runs) {
        if (least == 0) return 0;
        const uint64_t begin = raw_ns();
        if (runs <= least) least_done_ns = begin;
        if (runs >= least) {
            uint64_t before = 0, last = 0;
            for (uint32_t ago = 1; ago <= kWindow; ++ago) {
                last += recent[(runs - ago) % (2 * kWindow)];
                before += recent[(runs - ago - kWindow) % (2 * kWindow)];
            }
            const bool settled = static_cast<double>(last) >= (1 - job.warmup_tolerance) * static_cast<double>(before);
            if (runs >= 2 * kWindow && settled) return runs;
            if (static_cast<double>(begin - least_done_ns) >= job.warmup_most_s * 1e9) return runs;
        }
        check_going(begin, deadline);
        model.run();
        recent[runs % (2 * kWindow)] = raw_ns() - begin;
    }
}

void time_runs(LoadedModel& model, std::vector<uint64_t>& sample_ns, Deadline deadline) {
    for (uint64_t& sample : sample_ns) {
        const uint64_t begin = raw_ns();
        model.run();
        const uint64_t end = raw_ns();
        sample = end - begin;
        check_going(end, deadline);
    }
}

struct Operators {
    std::vector<OperatorTime> first;  // names and kinds
    std::vector<uint64_t> ns;         // run after run
};

Operators profile_runs(LoadedModel& model, std::vector<uint64_t>& sample_ns, Deadline deadline) {
    Operators found;
    std::vector<OperatorTime> operators;
    for (uint64_t& sample : sample_ns) {
        operators.clear();
        sample = model.profiled_run(operators);
        if (found.first.empty()) found.first = operators;
        const auto same = [](const OperatorTime& a, const OperatorTime& b) { return a.name == b.name && a.kind == b.kind; };
        if (!std::equal(operators.begin(), operators.end(), found.first.begin(), found.first.end(), same)) {
            throw Failure("UNSUPPORTED", "the engine's profiler names other operators from run to run");
        }
        for (const OperatorTime& time : operators) found.ns.push_back(time.ns);
        check_going(raw_ns(), deadline);
    }
    return found;
}

void put_operators(Bytes& payload, const Operators& operators, uint32_t runs) {
    const size_t count = operators.first.size();
    for (size_t index = 0; index < count; ++index) {
        const std::string name = operators.first[index].name.substr(0, UINT16_MAX);
        const std::string kind = operators.first[index].kind.substr(0, UINT16_MAX);
        put<uint16_t>(payload, static_cast<uint16_t>(name.size()));
        put<uint16_t>(payload, static_cast<uint16_t>(kind.size()));
        put<uint32_t>(payload, runs);
        put_text(payload, name);
        put_text(payload, kind);
        for (uint32_t run = 0; run < runs; ++run) put<uint64_t>(payload, operators.ns[run * count + index]);
    }
}

uint64_t unix_ns() {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Bytes measure_block(const Job& job, const PlannedBlock& block, LoadedModel& model, const Machine& machine, uint64_t cooled_ns,
                    Deadline deadline) {
    std::vector<uint64_t> sample_ns(block.runs);  // allocated and touched before the clock runs
    const uint32_t warmup_runs = warm_up(job, block.warmup_runs, model, deadline);
    const int core = sched_getcpu();
    const uint32_t khz_before = machine.khz(core);
    const Faults faults = page_faults();
    const uint64_t started_raw_ns = raw_ns(), started_unix_ns = unix_ns();
    Operators operators;
    if (block.profiled()) operators = profile_runs(model, sample_ns, deadline);
    else time_runs(model, sample_ns, deadline);
    const Faults faults_after = page_faults();
    const uint32_t khz_after = machine.khz(core);
    const std::vector<int32_t> millidegrees = machine.millidegrees();

    Bytes payload;
    put<uint32_t>(payload, warmup_runs);
    put<uint32_t>(payload, block.runs);
    put<int32_t>(payload, core);
    put<uint32_t>(payload, khz_before);
    put<uint32_t>(payload, khz_after);
    put<uint32_t>(payload, faults_after.minor - faults.minor);
    put<uint32_t>(payload, faults_after.major - faults.major);
    put<uint64_t>(payload, started_raw_ns);
    put<uint64_t>(payload, started_unix_ns);
    put<uint64_t>(payload, cooled_ns);
    put<uint32_t>(payload, static_cast<uint32_t>(millidegrees.size()));
    put<uint32_t>(payload, static_cast<uint32_t>(operators.first.size()));
    for (const uint64_t sample : sample_ns) put<uint64_t>(payload, sample);
    for (const int32_t zone : millidegrees) put<int32_t>(payload, zone);
    put_operators(payload, operators, block.runs);
    return payload;
}
