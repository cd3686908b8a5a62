#include "schedule.h"

#include <numeric>
#include <utility>

Schedule::Schedule(const Job& job) : job_(job), order_(job.plan.size() - job.references) {
    per_round_ = job.references + static_cast<uint32_t>(order_.size()) * (1 + job.references);
}

Execution Schedule::at(uint32_t position) {
    const uint32_t round = position / per_round_, place = position % per_round_, references = job_.references;
    if (place < references) return {round, place};
    if (round != ordered_round_) order_round(round);
    const uint32_t block = (place - references) / (1 + references), turn = (place - references) % (1 + references);
    return {round, turn == 0 ? order_[block] : turn - 1};
}

void Schedule::order_round(uint32_t round) {
    ordered_round_ = round;
    std::iota(order_.begin(), order_.end(), job_.references);
    if (!job_.shuffled) return;
    uint64_t state = job_.seed + round;
    for (size_t last = order_.size(); last-- > 1;) {
        uint64_t mixed = state += 0x9e3779b97f4a7c15u;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        std::swap(order_[last], order_[(mixed ^ mixed >> 31) % (last + 1)]);
    }
}
