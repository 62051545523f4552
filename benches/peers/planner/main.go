// What does the same plan cost in KubeFed's own planner and in kubefed_planner::compat, and what does Webster's method
// cost in Karmada and here?
//
// Both sides plan the same inputs, generated from the same seeds, and take turns in short batches, so that
// what else the machine does hits both alike. Answers are compared by digest. Writes tables and a plot.
package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	scheduling "sigs.k8s.io/kubefed/pkg/apis/scheduling/v1alpha1"
	"sigs.k8s.io/kubefed/pkg/controller/util/planner"
)

var (
	shapes = []string{"wildcard", "bounds", "capacity", "keep", "full", "drain"}
	sizes  = []int{3, 10, 100, 1000, 10000, 100000}
	// What Karmada is asked: weights so long that nothing ties, and so short that many do.
	votes = []string{"votes", "ties"}
)

const keys = 16

// random is SplitMix64, as in benches/inputs/planner.rs.
type random uint64

func (r *random) below(bound int64) int64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return int64((z ^ (z >> 31)) % uint64(bound))
}

type input struct {
	names             []string
	planner           *planner.Planner
	current, capacity map[string]int64
}

func newInput(shape string, number, size int) input {
	r := random(uint64(number)<<32 | uint64(size))
	in := input{current: map[string]int64{}, capacity: map[string]int64{}}
	clusters := map[string]scheduling.ClusterPreferences{}
	limit := func(value int64) *int64 { return &value }
	for i := 0; i < size; i++ {
		name := fmt.Sprintf("member-%05d", i)
		in.names = append(in.names, name)
		room := func(below int64) {
			if value := r.below(below); i%2 == 0 {
				in.capacity[name] = value
			}
		}
		var p scheduling.ClusterPreferences
		switch shape {
		case "wildcard":
			clusters["*"] = scheduling.ClusterPreferences{Weight: 1}
			continue
		case "drain":
			clusters["*"] = scheduling.ClusterPreferences{Weight: 1}
			in.current[name] = 100
			continue
		case "bounds":
			p.Weight = 1 + r.below(100)
			p.MinReplicas = r.below(4)
			p.MaxReplicas = limit(5 + r.below(26))
		case "capacity":
			p.Weight = 1 + r.below(10)
			room(16)
		case "keep":
			p.Weight = 1 + r.below(10)
			in.current[name] = r.below(20)
		case "full":
			p.Weight = 1 + r.below(100)
			p.MinReplicas = r.below(4)
			p.MaxReplicas = limit(5 + r.below(36))
			in.current[name] = r.below(16)
			room(21)
		}
		clusters[name] = p
	}
	total := 10 * size
	switch shape {
	case "wildcard":
		total = 10*size + size/3 + 1
	case "keep":
		total = 12 * size
	case "drain":
		total = 100*size + 1
	}
	in.planner = planner.NewPlanner(&scheduling.ReplicaSchedulingPreference{
		Spec: scheduling.ReplicaSchedulingPreferenceSpec{
			TotalReplicas: int32(total),
			Rebalance:     shape == "wildcard" || shape == "bounds" || shape == "capacity",
			Clusters:      clusters,
		},
	})
	return in
}

func (in input) plan(key int) (map[string]int64, map[string]int64) {
	text := "default/web-" + strconv.Itoa(key%keys)
	plan, overflow, err := in.planner.Plan(in.names, in.current, in.capacity, text)
	if err != nil {
		panic(err)
	}
	return plan, overflow
}

func (in input) measure(plans int) float64 {
	start := time.Now()
	for key := 0; key < plans; key++ {
		in.plan(key)
	}
	return float64(time.Since(start).Nanoseconds()) / float64(plans)
}

// digest is of the answers to the first plans.
func (in input) digest(plans int) string {
	digest := newDigest()
	for key := 0; key < plans && key < keys; key++ {
		plan, overflow := in.plan(key)
		for _, name := range in.names {
			digest.add(plan[name])
			digest.add(overflow[name])
		}
	}
	return digest.String()
}

type digest uint64

func newDigest() digest { return 0xcbf29ce484222325 }

func (d *digest) add(number int64) { *d = (*d ^ digest(number)) * 0x100000001b3 }

func (d digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// question is put to another program, of which Karmada's method is one.
type question struct {
	peer  peer
	shape string
	size  int
}

func (q question) measure(plans int) float64 {
	nanos, _ := q.peer.measure(q.shape, q.size, "webster", plans)
	return nanos
}

func (q question) digest(plans int) string {
	_, digest := q.peer.measure(q.shape, q.size, "webster", plans)
	return digest
}

// peer is a program that answers requests line by line: the Rust side, or Karmada's.
type peer struct {
	requests io.Writer
	answers  *bufio.Reader
}

func startPeer(binary string, arguments ...string) peer {
	command := exec.Command(binary, arguments...)
	command.Stderr = os.Stderr
	requests, err := command.StdinPipe()
	check(err)
	answers, err := command.StdoutPipe()
	check(err)
	check(command.Start())
	return peer{requests, bufio.NewReader(answers)}
}

func (p peer) measure(shape string, size int, mode string, plans int) (float64, string) {
	fmt.Fprintf(p.requests, "%s %d %s %d\n", shape, size, mode, plans)
	line, err := p.answers.ReadString('\n')
	check(err)
	words := strings.Fields(line)
	nanos, err := strconv.ParseFloat(words[0], 64)
	check(err)
	return nanos, words[1]
}

// original is what a Rust plan is compared with.
type original interface {
	measure(plans int) float64
	digest(plans int) string
}

// run gives the times of the original, and of the Rust side in each of the modes.
func run(original original, p peer, shape string, size int, modes ...string) (golang []float64, rust [][]float64) {
	original.measure(1)
	once := original.measure(1)
	// About a millisecond of Go a batch, which fits into the time slice of a busy machine.
	plans := int(math.Max(1, math.Min(500, 1e6/once)))
	rounds := 41
	switch {
	case once > 1e9:
		rounds = 3
	case once > 5e6:
		rounds = 9
	}
	expected := original.digest(plans)
	rust = make([][]float64, len(modes))
	for i := 0; i < rounds; i++ {
		golang = append(golang, original.measure(plans))
		for m, mode := range modes {
			nanos, digest := p.measure(shape, size, mode, plans)
			if digest != expected {
				fmt.Fprintf(os.Stderr, "%s %d: the answers differ\n", shape, size)
				os.Exit(1)
			}
			rust[m] = append(rust[m], nanos)
		}
	}
	return golang, rust
}

// againstSmaller compares Webster's method with KubeFed's planner on a tenth of the clusters.
func againstSmaller(p peer, shape string, number int) (golang, rust []float64) {
	in := newInput(shape, number, 1000)
	for i := 0; i < 41; i++ {
		golang = append(golang, in.measure(4))
		nanos, _ := p.measure(shape, 10000, "webster", 4)
		rust = append(rust, nanos)
	}
	return golang, rust
}

// againstKarmada compares Webster's method, which both sides have.
func againstKarmada(karmada, p peer) string {
	var text strings.Builder
	text.WriteString(`Karmada v1.16.0, ` + "`AllocateWebsterSeats`" + `: ten replicas a cluster and no bounds, which it does not know. Random weights below
2^40 (*votes*) do not tie; random weights below 11 (*ties*) do all the time, and there the rules differ: Karmada gives the
replica to the cluster with fewer replicas, then to the smaller name, or the greater one for every other workload; here a
hash of name and workload decides, so that the odd replicas of many workloads fall on different clusters. What is compared
are therefore all replicas but those of the last quotient, and how many these are: on that much every rule for ties
agrees, and it agreed everywhere.

| weights | clusters | Go ns | Rust ns | ratio, least | ratio, median |
| --- | ---: | ---: | ---: | ---: | ---: |
`)
	for _, shape := range votes {
		for _, size := range sizes {
			golang, rust := run(question{karmada, shape, size}, p, shape, size, "webster")
			fmt.Fprintf(&text, "| %s | %d | %.0f | %.0f | %.1f | %.1f |\n", shape, size, least(golang), least(rust[0]),
				least(golang)/least(rust[0]), median(golang)/median(rust[0]))
			fmt.Fprintf(os.Stderr, "karmada %s %d: %.1f\n", shape, size, median(golang)/median(rust[0]))
		}
	}
	return text.String()
}

func least(times []float64) float64 {
	sort.Float64s(times)
	return times[0]
}

func median(times []float64) float64 {
	sort.Float64s(times)
	return times[len(times)/2]
}

func geometric(values []float64) float64 {
	sum := 0.0
	for _, value := range values {
		sum += math.Log(value)
	}
	return math.Exp(sum / float64(len(values)))
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: planner-peer RUST-BENCH OUTPUT-FOLDER [KARMADA-PEER]")
		os.Exit(2)
	}
	p := startPeer(os.Args[1], "peer")
	var rows, small strings.Builder
	var medians, colds []float64
	lines := map[string][]float64{}
	for number, shape := range shapes {
		for _, size := range sizes {
			golang, rust := run(newInput(shape, number, size), p, shape, size, "warm", "cold")
			warm, cold := rust[0], rust[1]
			byMedian, byMedianCold := median(golang)/median(warm), median(golang)/median(cold)
			medians = append(medians, byMedian)
			colds = append(colds, byMedianCold)
			lines[shape] = append(lines[shape], byMedian)
			fmt.Fprintf(&rows, "| %s | %d | %.0f | %.0f | %.0f | %.1f | %.1f | %.1f | %.1f |\n", shape, size,
				least(golang), least(warm), least(cold),
				least(golang)/least(warm), byMedian, least(golang)/least(cold), byMedianCold)
			fmt.Fprintf(os.Stderr, "%s %d: %.1f\n", shape, size, byMedian)
		}
		golang, rust := againstSmaller(p, shape, number)
		fmt.Fprintf(&small, "| %s | %.0f | %.0f | %.2f | %.2f |\n", shape, least(golang), least(rust),
			least(golang)/least(rust), median(golang)/median(rust))
	}
	party := "Not measured: Karmada's module could not be had when this was written.\n"
	if len(os.Args) == 4 {
		party = againstKarmada(startPeer(os.Args[3]), p)
	}
	text := fmt.Sprintf(`# Against other planners

Written by `+"`benches/peers/planner/run.sh`"+`. The planners take turns on the same inputs, with equal answers. Times are the
least of all batches, in nanoseconds per plan; ratios are Go over Rust, of the least times and of the medians. *Warm* reuses
candidates and planner, as a controller does; *cold* makes the candidates and hashes their names in every plan. Every plan is
for another workload, so that the clusters stand in another order.

Machine: %s, %s, load %s when it ended. Where the load exceeds the number of processors, absolute times are too long;
since the planners take turns, the ratios suffer less. To compare clocks: a multiplication and an addition that wait for each
other take %.2f ns here.

## KubeFed's planner and `+"`compat`"+`

KubeFed v0.10.0. Median ratio: geometric mean **%.1f** warm, %.1f cold; least %.1f warm, %.1f cold.

![median ratio by shape and number of clusters](planner-ratio.svg)

| shape | clusters | Go ns | warm ns | cold ns | ratio, least | ratio, median | cold, least | cold, median |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
%s
`+"`benches/peers/planner/differential.sh`"+` compares the answers of the two on random inputs of every family that
`+"`tests/vectors`"+` names.

## KubeFed's planner at 1,000 clusters and Webster's method at 10,000

The same shapes; the answers are different by nature. Webster's plans carry their reasons. Shapes with capacities are planned
twice, since a reason says how many more replicas would have gone there.

| shape | Go ns, 1,000 | Rust ns, 10,000 | ratio, least | ratio, median |
| --- | ---: | ---: | ---: | ---: |
%s
## Webster's method in Karmada and here

%s`, machine(), runtime.Version(), load(), step(), geometric(medians), geometric(colds), least(medians), least(colds),
		rows.String(), small.String(), party)
	check(os.WriteFile(filepath.Join(os.Args[2], "peers.md"), []byte(text), 0o644))
	check(os.WriteFile(filepath.Join(os.Args[2], "planner-ratio.svg"), []byte(plot(lines)), 0o644))
	fmt.Print(text)
}

// step is the time of a multiplication and an addition that depend on each other: four cycles or five.
func step() float64 {
	const steps = 50_000_000
	x := uint64(len(os.Args))
	start := time.Now()
	for i := 0; i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	elapsed := time.Since(start)
	if x == 0 {
		fmt.Fprintln(os.Stderr, "a step that is not optimized away")
	}
	return float64(elapsed.Nanoseconds()) / steps
}

// plot draws the ratios over the sizes, both logarithmic.
func plot(lines map[string][]float64) string {
	const width, height, left, top = 760.0, 420.0, 60.0, 20.0
	x := func(i int) float64 { return left + float64(i)*(width-left-150)/float64(len(sizes)-1) }
	y := func(ratio float64) float64 { return top + (height-top-40)*(1-math.Log10(math.Max(1, ratio))/3) }
	colours := []string{"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"}
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&svg, `<rect width="%g" height="%g" fill="white"/>`+"\n", width, height)
	for _, ratio := range []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000} {
		fmt.Fprintf(&svg, `<line x1="%g" x2="%g" y1="%g" y2="%g" stroke="#ddd"/><text x="%g" y="%g" text-anchor="end">%gx</text>`+"\n",
			left, x(len(sizes)-1), y(ratio), y(ratio), left-6, y(ratio)+4, ratio)
	}
	for i, size := range sizes {
		fmt.Fprintf(&svg, `<text x="%g" y="%g" text-anchor="middle">%d</text>`+"\n", x(i), height-18, size)
	}
	fmt.Fprintf(&svg, `<text x="%g" y="%g" text-anchor="middle">clusters</text>`+"\n", (left+x(len(sizes)-1))/2, height-2)
	for s, shape := range shapes {
		var points []string
		for i, ratio := range lines[shape] {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(i), y(ratio)))
		}
		fmt.Fprintf(&svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%g" y="%g" fill="%s">%s</text>`+"\n",
			strings.Join(points, " "), colours[s], x(len(sizes)-1)+30, top+20+float64(s)*20, colours[s], shape)
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%s, %d processors, %s/%s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return "unknown"
	}
	return words[0]
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
