// Karmada's Webster method, asked line by line as the Rust side is: "shape clusters mode plans".
//
// A module of its own, so that its hundred dependencies do not decide with which versions KubeFed's planner is
// built, and so that KubeFed is compared also where they cannot be had.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"github.com/karmada-io/karmada/pkg/util/helper"
)

const (
	keys = 16
	// shapes is how many KubeFed's planner knows; ours are seeded by the next number.
	shapes = 6
)

// weights are random below these. The long ones do not tie, the short ones do all the time.
var weights = map[string]int64{"votes": 1 << 40, "ties": 10}

// random is SplitMix64, as in benches/inputs/planner.rs.
type random uint64

func (r *random) below(bound int64) int64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return int64((z ^ (z >> 31)) % uint64(bound))
}

func votes(shape string, size int) map[string]int64 {
	r := random(uint64(shapes)<<32 | uint64(size))
	votes := map[string]int64{}
	for i := 0; i < size; i++ {
		votes[fmt.Sprintf("member-%05d", i)] = 1 + r.below(weights[shape])
	}
	return votes
}

// quotient is what the last seat of a party was worth: votes over an odd number.
func quotient(party helper.Party) (int64, int64) {
	return party.Votes, 2*int64(party.Seats) - 1
}

// settled are the seats on which every rule for ties agrees: those of all parties without the ones of the
// smallest quotient, and how many these are. Parties are sorted by name.
func settled(parties []helper.Party) []int64 {
	// Votes are at most 2^40 and seats fewer than 2^21, so that no product overflows. Nothing is 1/0.
	least, odd := int64(1), int64(0)
	for _, party := range parties {
		if votes, o := quotient(party); party.Seats > 0 && votes*odd < least*o {
			least, odd = votes, o
		}
	}
	var seats []int64
	last := int64(0)
	for _, party := range parties {
		without := int64(party.Seats)
		if votes, o := quotient(party); party.Seats > 0 && votes*odd == least*o {
			without--
			last++
		}
		seats = append(seats, without)
	}
	return append(seats, last)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var shape, mode string
		var size, plans int
		if _, err := fmt.Sscan(lines.Text(), &shape, &size, &mode, &plans); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		parties := votes(shape, size)
		var seats []helper.Party
		start := time.Now()
		for i := 0; i < plans; i++ {
			seats = helper.AllocateWebsterSeats(int32(10*size), parties, nil, nil)
		}
		nanos := float64(time.Since(start).Nanoseconds()) / float64(plans)
		digest := uint64(0xcbf29ce484222325)
		for key := 0; key < plans && key < keys; key++ {
			for _, number := range settled(seats) {
				digest = (digest ^ uint64(number)) * 0x100000001b3
			}
		}
		fmt.Printf("%.1f %016x\n", nanos, digest)
	}
}
