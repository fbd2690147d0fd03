// Multiprocessors that kernels take from each other, where PRETENDED_CONTENTION=1: a model, which a
// card may contradict. Without it each kernel runs as if it were alone.
//
// What moves rows holds its blocks' multiprocessors to its end and is never slowed. With
// PRETENDED_TILES_DEALT_OUT=1 products are as on Hopper (pytorch issue 143988): a block for each
// multiprocessor that they may take, the tiles dealt out beforehand. So what moves rows must wait
// until a running product has left enough of them, and the blocks of a product that find none begin
// when they are free, or else in a second wave. With 0 blocks come and go: products and all other
// kernels share what is there. Kernels that compute do not slow each other. One process alone: what
// ranks wait for is not known early enough.
#include <algorithm>

#include "state.h"

using namespace pretended;

namespace {

struct Running {
  double left;  // nanoseconds, if it has all that it needs
  Needs needs;
  Nanoseconds start;
  double first = 0;  // of a product's first wave, while blocks of it wait for another
  bool begun = false;
};

std::vector<Running*> front;  // of each stream: what runs, or will as its start comes
Nanoseconds reached = 0;      // up to when the device's time has passed

bool is_fixed(const Running& one) {
  return one.needs.use == Use::HOLDS || (one.needs.use == Use::PRODUCT && settings().dealt_out);
}

int free_of(Use use) {
  int free = MULTIPROCESSORS;
  for (auto* one : front)
    if (one->begun && one->needs.use == use) free -= one->needs.blocks;
  return free;
}

bool may_begin(const Running& one) {
  if (one.start > reached) return false;
  bool waits = settings().dealt_out && one.needs.use == Use::HOLDS;
  return !waits || one.needs.blocks <= free_of(Use::PRODUCT);
}

void begin(Running& one) {
  one.begun = true;
  bool waves = one.needs.use == Use::PRODUCT && settings().dealt_out;
  if (waves && one.needs.blocks > free_of(Use::HOLDS)) one.first = one.left;
}

double rate(const Running& one) {
  int free = std::max(1, free_of(Use::HOLDS));
  bool has_all = is_fixed(one) || one.needs.blocks <= free;
  return has_all ? 1 : (double)free / one.needs.blocks;
}

double nanoseconds_left(const Running& one) {
  return one.first > 0 ? one.first : one.left / rate(one);
}

void run_until(Nanoseconds when) {
  int free = free_of(Use::HOLDS);
  for (auto* one : front) {
    if (!one->begun) continue;
    if (one->needs.blocks <= free) one->first = 0;
    if (one->first > 0)
      one->first -= when - reached;
    else
      one->left -= (when - reached) * rate(*one);
  }
  reached = std::max(reached, when);
}

}  // namespace

Task pretended::contend(Nanoseconds duration, Activity activity, Needs needs, Nanoseconds given) {
  auto own = std::make_shared<Running>(Running{(double)duration, needs, 0});
  return [=](Stream& stream) mutable {
    if (!own->start) {
      own->start = std::max(start_of(stream, given), reached);
      front.push_back(own.get());
    }
    if (!own->begun && may_begin(*own)) {
      own->start = reached;
      begin(*own);
    }
    if (!own->begun || own->left > 0.5) return false;
    front.erase(std::find(front.begin(), front.end(), own.get()));
    activity.start = own->start;
    activity.end = reached;
    finish(stream, activity);
    return true;
  };
}

Nanoseconds pretended::next_change() {
  Nanoseconds next = INT64_MAX;
  for (auto* one : front) {
    Nanoseconds left = std::max(1.0, nanoseconds_left(*one) + 0.5);
    if (one->begun)
      next = std::min(next, reached + left);
    else if (one->start > reached)  // else it waits for another to end
      next = std::min(next, one->start);
  }
  return next == INT64_MAX ? 0 : next;
}

void pretended::pass_time(Nanoseconds until) {
  for (;;) {
    go_on();
    Nanoseconds next = next_change();
    if (!next || next > until) break;
    run_until(next);
  }
  if (until > reached) run_until(until);
}
