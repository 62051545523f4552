// Writes JSON lines with answers of KubeFed's own planner, in the form of crates/kubefed-planner/tests/vectors:
//
//	go run ./lines 2000 1 | cargo run --release -p kubefed-planner --example plan-replicas -- --check
//
// The arguments are how many lines, and a seed. Inputs for which the original needs more than a quarter of a second are left out.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	scheduling "sigs.k8s.io/kubefed/pkg/apis/scheduling/v1alpha1"
	"sigs.k8s.io/kubefed/pkg/controller/util/planner"
)

type preference struct {
	Min    int64  `json:"min,omitempty"`
	Max    *int64 `json:"max,omitempty"`
	Weight int64  `json:"weight,omitempty"`
}

type line struct {
	ID          string                `json:"id"`
	Shape       string                `json:"shape"`
	Total       int64                 `json:"total"`
	Rebalance   bool                  `json:"rebalance"`
	Key         string                `json:"key"`
	Clusters    []string              `json:"clusters"`
	Preferences map[string]preference `json:"preferences"`
	Current     map[string]int64      `json:"current"`
	Capacity    map[string]int64      `json:"capacity"`
	Plan        map[string]int64      `json:"plan"`
	Overflow    map[string]int64      `json:"overflow"`
}

// family says how the lines of a shape are drawn. A part is a percentage; counts and weights are mostly small, and
// otherwise up to what is given.
type family struct {
	shape                                     string
	clusters                                  int
	total, weight, count, lowest              int64
	rebalance, wildcard, named, min, max, cur int
	capacity                                  int
	finish                                    func(*line, *random)
}

var families = []family{
	{shape: "equal", clusters: 50, total: 1e5, weight: 1, rebalance: 50, wildcard: 100},
	{shape: "wildcard-bounds", clusters: 50, total: 1e5, weight: 1e5, count: 9000, rebalance: 50, wildcard: 100, min: 40, max: 40},
	{shape: "named", clusters: 50, total: 1e5, weight: 1e5, count: 50000, rebalance: 50, named: 80, min: 30, max: 30},
	{shape: "named-wildcard", clusters: 50, total: 1e5, weight: 1e5, count: 50000, rebalance: 50, wildcard: 100, named: 50, min: 30, max: 30},
	{shape: "capacity", clusters: 50, total: 1e5, weight: 1e5, count: 30000, rebalance: 50, wildcard: 60, named: 70, min: 20, max: 20, capacity: 60},
	{shape: "keep-current", clusters: 50, total: 1e5, weight: 1e5, count: 9000, rebalance: 10, wildcard: 60, named: 70, min: 20, max: 20, cur: 70},
	{shape: "full", clusters: 50, total: 1e5, weight: 1e5, count: 30000, rebalance: 50, wildcard: 60, named: 70, min: 30, max: 30, cur: 70, capacity: 50},
	{shape: "controller-like", clusters: 30, total: 1e5, weight: 1e5, count: 9000, rebalance: 50, wildcard: 70, named: 60, min: 20, max: 20, cur: 90, finish: derived},
	{shape: "edge", clusters: 8, total: 2, weight: 9, count: 3, rebalance: 50, wildcard: 60, named: 60, min: 40, max: 40, cur: 30, capacity: 30, finish: extremes},
	{shape: "geometric", clusters: 40, total: 2e6, rebalance: 60, named: 100, finish: falling},
	{shape: "drain", clusters: 30, weight: 7, count: 4, wildcard: 100, named: 30, min: 40, finish: running},
	{shape: "equal-nasty", clusters: 50, total: 200, weight: 10, count: 9, rebalance: 60, wildcard: 100, named: 10, min: 10, cur: 70, capacity: 70},
	{shape: "min-exceeds-total", clusters: 30, total: 70, weight: 3, count: 9, rebalance: 60, named: 95, min: 95, cur: 40, capacity: 40},
	{shape: "min-gt-max", clusters: 20, total: 9e4, weight: 1e5, count: 4000, rebalance: 50, wildcard: 60, named: 60, max: 60, cur: 50, capacity: 30, finish: inverted},
	{shape: "negative-capacity", clusters: 15, total: 200, weight: 1000, count: 30, rebalance: 50, wildcard: 60, named: 60, min: 30, max: 30, cur: 60, finish: below},
	{shape: "negative-spec", clusters: 8, total: 1e5, weight: 1000, count: 9000, lowest: -9, rebalance: 50, wildcard: 50, named: 70, min: 50, max: 50, cur: 50, capacity: 40},
	{shape: "wrap", clusters: 8, total: 3000, count: 2000, rebalance: 60, named: 100, min: 50, cur: 50, capacity: 30, finish: huge},
	{shape: "odd-names", clusters: 14, total: 1e5, weight: 1000, count: 9000, rebalance: 50, wildcard: 60, named: 70, min: 30, max: 30, cur: 50, capacity: 50, finish: odd},
}

// random is SplitMix64, as in benches/inputs/planner.rs.
type random uint64

func (r *random) below(bound int64) int64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return int64((z ^ (z >> 31)) % uint64(bound))
}

func (r *random) chance(percent int) bool { return r.below(100) < int64(percent) }

// upTo is mostly small, and from lowest to most.
func (r *random) upTo(lowest, most int64) int64 {
	for _, small := range []int64{3, 30} {
		if r.chance(50) && small < most {
			most = small
		}
	}
	return lowest + r.below(most-lowest+1)
}

func (r *random) of(texts ...string) string { return texts[r.below(int64(len(texts)))] }

func (f *family) draw(r *random) *line {
	l := &line{
		Shape: f.shape, Total: r.upTo(f.lowest, f.total), Rebalance: r.chance(f.rebalance),
		Key:      r.of("", "ns/web", "default/nginx", fmt.Sprintf("ns-%d/app-%d", r.below(50), r.below(1000))),
		Clusters: []string{}, Preferences: map[string]preference{},
		Current: map[string]int64{}, Capacity: map[string]int64{},
	}
	prefix := r.of("c", "cluster-", "member", "eu-west", "k.", "m0")
	count := r.upTo(0, int64(f.clusters))
	for i := int64(0); i <= count; i++ {
		name := prefix + strconv.FormatInt(r.below(1<<20), 36)
		// The last one is named, but not available.
		if i < count && !contains(l.Clusters, name) {
			l.Clusters = append(l.Clusters, name)
		}
		if r.chance(f.named) {
			l.Preferences[name] = f.preference(r)
		}
		if r.chance(f.cur) {
			l.Current[name] = max(0, r.upTo(f.lowest, f.count))
		}
		if r.chance(f.capacity) {
			l.Capacity[name] = r.upTo(0, f.count)
		}
	}
	if r.chance(f.wildcard) {
		l.Preferences["*"] = f.preference(r)
	}
	if f.finish != nil {
		f.finish(l, r)
	}
	return l
}

func (f *family) preference(r *random) preference {
	p := preference{Weight: 1}
	if r.chance(70) {
		p.Weight = r.upTo(f.lowest, f.weight)
	}
	if r.chance(f.min) {
		p.Min = r.upTo(f.lowest, f.count)
	}
	if r.chance(f.max) {
		most := r.upTo(f.lowest, f.count)
		if f.lowest == 0 && r.chance(95) {
			most = max(most, p.Min)
		}
		p.Max = &most
	}
	return p
}

// derived gives capacities as the controller does: what was asked for, less what could not be scheduled.
func derived(l *line, r *random) {
	for _, name := range l.Clusters {
		if r.chance(30) {
			l.Capacity[name] = max(0, l.Current[name]-r.upTo(0, 3))
		}
	}
}

func extremes(l *line, r *random) {
	near := func() int64 {
		return []int64{0, 1, 2, 3, 1 << 31, 1 << 32, 1<<31 + r.below(1<<30)}[r.below(7)] - r.below(3)
	}
	if r.chance(50) {
		l.Total = math.MaxInt32 - r.below(3)
	}
	for name, p := range l.Preferences {
		if r.chance(50) {
			p.Weight = max(0, near())
		}
		if r.chance(20) {
			most := max(0, near())
			p.Max = &most
		}
		if r.chance(20) {
			p.Min = max(0, near())
		}
		l.Preferences[name] = p
	}
	// Much that runs is taken up at once, or the original would run for minutes.
	for _, name := range l.Clusters {
		if r.chance(20) && l.Rebalance {
			l.Current[name] = max(0, near())
		}
	}
}

func falling(l *line, r *random) {
	weight := int64(1) << (len(l.Clusters) - min(len(l.Clusters), 1))
	for _, name := range l.Clusters {
		p := preference{Weight: max(1, weight)}
		weight /= 2
		if r.chance(80) {
			most := r.upTo(0, 1+l.Total/int64(len(l.Clusters)))
			p.Max = &most
		}
		l.Preferences[name] = p
		if r.chance(30) {
			l.Current[name] = r.upTo(0, 3000)
		}
	}
}

func running(l *line, r *random) {
	each := []int64{20, 200, 2000}[r.below(3)]
	for _, name := range l.Clusters {
		if r.chance(95) {
			l.Current[name] = r.below(each)
		}
		l.Total += l.Current[name]
		if r.chance(10) {
			l.Capacity[name] = r.below(each)
		}
	}
	l.Total += r.upTo(0, 300)
}

func inverted(l *line, r *random) {
	for name, p := range l.Preferences {
		if p.Max != nil {
			p.Min = *p.Max + r.upTo(0, 9)
			l.Preferences[name] = p
		}
	}
}

func below(l *line, r *random) {
	for _, name := range l.Clusters {
		if r.chance(60) {
			l.Capacity[name] = r.below(36) - 9
		}
	}
}

func huge(l *line, r *random) {
	if r.chance(10) {
		l.Total = math.MaxInt32 - r.below(9)
	}
	for name, p := range l.Preferences {
		p.Weight = []int64{1, 1 << 33, 1 << 40, 1 << 61, 1<<62 - 1, 1 << 62, math.MaxInt64}[r.below(7)]
		l.Preferences[name] = p
	}
}

func odd(l *line, r *random) {
	renamed := func(name string) string { return name }
	switch prefix := r.of("é", "日本", "z-", "", "*"); {
	case prefix == "*" && len(l.Clusters) > 0:
		first := l.Clusters[0]
		renamed = func(name string) string {
			if name == first {
				return "*"
			}
			return name
		}
	default:
		renamed = func(name string) string {
			if name == "*" {
				return name
			}
			return prefix + name
		}
	}
	for i, name := range l.Clusters {
		l.Clusters[i] = renamed(name)
	}
	l.Preferences, l.Current, l.Capacity = rename(l.Preferences, renamed), rename(l.Current, renamed), rename(l.Capacity, renamed)
	l.Key = r.of("", " ", "x", "日本/ü", l.Key)
}

func rename[V any](values map[string]V, renamed func(string) string) map[string]V {
	answer := map[string]V{}
	for name, value := range values {
		// Where two become one, the same one must win in every run.
		if _, taken := values[renamed(name)]; !taken || renamed(name) == name {
			answer[renamed(name)] = value
		}
	}
	return answer
}

func contains(names []string, name string) bool {
	for _, other := range names {
		if other == name {
			return true
		}
	}
	return false
}

// plan fills in the answer, or says that it took too long.
func (l *line) plan() bool {
	clusters := map[string]scheduling.ClusterPreferences{}
	for name, p := range l.Preferences {
		clusters[name] = scheduling.ClusterPreferences{MinReplicas: p.Min, MaxReplicas: p.Max, Weight: p.Weight}
	}
	spec := scheduling.ReplicaSchedulingPreferenceSpec{TotalReplicas: int32(l.Total), Rebalance: l.Rebalance, Clusters: clusters}
	done := make(chan bool, 1)
	var plan, overflow map[string]int64
	go func() {
		original := planner.NewPlanner(&scheduling.ReplicaSchedulingPreference{Spec: spec})
		var err error
		plan, overflow, err = original.Plan(l.Clusters, l.Current, l.Capacity, l.Key)
		done <- err == nil
	}()
	select {
	case well := <-done:
		l.Plan, l.Overflow = plan, overflow
		return well
	case <-time.After(time.Second / 4):
		return false
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: lines COUNT SEED")
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[1])
	check(err)
	seed, err := strconv.Atoi(os.Args[2])
	check(err)
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	encoder.SetEscapeHTML(false)
	skipped := 0
	for i := 0; i < count; i++ {
		r := random(uint64(seed)<<32 + uint64(i))
		l := families[i%len(families)].draw(&r)
		l.ID = fmt.Sprintf("r%d-%06d", seed, i)
		if !l.plan() {
			// The original goes on in the background; a few such are enough to slow everything down.
			if skipped++; skipped > 20 {
				fmt.Fprintln(os.Stderr, "too many inputs take the original too long")
				os.Exit(1)
			}
			continue
		}
		check(encoder.Encode(l))
	}
	check(output.Flush())
	fmt.Fprintf(os.Stderr, "%d left out\n", skipped)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
