// The order in which a job's blocks are executed.
#pragma once

#include "job.h"

struct Execution {
    uint32_t round, entry;
};

// In each round the reference blocks run in turn before the first block and after every one.  The other blocks of a
// round keep the plan's order, or are shuffled anew: Fisher-Yates from the last down, the partner of place i being
// splitmix64 modulo (i + 1), the generator starting from seed + round.
class Schedule {
public:
    explicit Schedule(const Job& job);
    uint32_t size() const { return job_.rounds * per_round_; }
    Execution at(uint32_t position);

private:
    void order_round(uint32_t round);

    const Job& job_;
    uint32_t per_round_;
    uint32_t ordered_round_ = UINT32_MAX;
    std::vector<uint32_t> order_;  // the entries that are no references, in the order of ordered_round_
};
