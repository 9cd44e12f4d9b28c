package collectortest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"whalefall/collectors"
	"whalefall/models"
)

// Variable is a setting that sessions of a server start with, and values that it may be set to.
type Variable struct {
	Name   string
	Values []string
}

// Sessions is a server of which a test sets what new sessions start with.
type Sessions struct {
	Collector collectors.Collector
	Targets   []collectors.Target // accounts that find all tables, each by another way
	Database  string
	Variables []Variable
	Always    []string // the names of those that every sample has

	Set   func(ctx context.Context, name, value string) error   // fails if the server refuses the value
	Reset func(ctx context.Context) error                       // takes back all that Set did
	Works func(ctx context.Context, as collectors.Target) error // runs a statement as any other client does

	random *rand.Rand
	want   []reading // without settings
}

const (
	// variablesSwitch is the environment variable that says what is tried: "all", or the sample of this seed.
	variablesSwitch = "TEST_VARIABLES"
	// readingPatience limits what one account reads: a setting may make it wait for what never comes.
	readingPatience = 20 * time.Second
	// sampleSize is how many variables a sample has beside those that every sample has.
	sampleSize = 30
	// sampleBunches and allBunches are how many bunches of settings are tried together.
	sampleBunches, allBunches = 8, 150
	// bunchShare is how many variables there are for each one in a bunch.
	bunchShare = 8
)

// SessionVariables sets variables to odd values, one at a time and in bunches. It fails unless each collection finds
// what one without them finds, or its error names one of them.
func SessionVariables(t *testing.T, s Sessions) {
	t.Helper()
	seed, all := rand.Uint64(), false
	switch text := os.Getenv(variablesSwitch); text {
	case "":
	case "all":
		all = true
	default:
		given, err := strconv.ParseUint(text, 10, 64)
		Must(t, err)
		seed = given
	}
	t.Logf("the same again: %s=%d", variablesSwitch, seed)
	s.random = rand.New(rand.NewPCG(seed, 0))

	for _, target := range s.Targets {
		Must(t, s.Works(t.Context(), target))
	}
	s.want = s.collect(t.Context())
	for _, read := range s.want {
		if read.DatabasesErr != nil || read.TablesErr != nil {
			t.Fatalf("without settings: %v, %v", read.DatabasesErr, read.TablesErr)
		}
	}
	tried := 0
	for _, values := range s.choose(all) {
		tried += s.try(t, values)
	}
	t.Logf("%d settings of %d variables were tried", tried, len(s.Variables))
}

// choose returns the settings to try, by the names of their variables.
func (s *Sessions) choose(all bool) (chosen []map[string]string) {
	others, bunches := sampleSize, sampleBunches
	if all {
		bunches = allBunches
	}
	for _, i := range s.random.Perm(len(s.Variables)) {
		v := s.Variables[i]
		values := v.Values
		if !all && len(values) > 0 && !slices.Contains(s.Always, v.Name) {
			if others--; others < 0 {
				continue
			}
			values = []string{s.oneOf(values)}
		}
		for _, value := range values {
			chosen = append(chosen, map[string]string{v.Name: value})
		}
	}
	for range bunches {
		bunch := map[string]string{}
		for _, v := range s.Variables {
			if len(v.Values) > 0 && s.random.IntN(bunchShare) == 0 {
				bunch[v.Name] = s.oneOf(v.Values)
			}
		}
		chosen = append(chosen, bunch)
	}
	return chosen
}

func (s *Sessions) oneOf(values []string) string { return values[s.random.IntN(len(values))] }

// try collects with those of the settings that the server accepts and other clients can work with, and returns how many
// they are. It fails if that makes a difference, and names the fewest that make it.
func (s *Sessions) try(t *testing.T, values map[string]string) (tried int) {
	t.Helper()
	defer func() { Must(t, s.Reset(context.WithoutCancel(t.Context()))) }()
	s.set(t, values)
	for !s.work(t.Context()) && len(values) > 0 {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if s.random.IntN(2) == 0 || len(values) == 1 {
				delete(values, name)
			}
		}
		s.set(t, values)
	}

	difference := s.difference(t, values)
	if difference == "" {
		return len(values)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fewer := maps.Clone(values)
		delete(fewer, name)
		s.set(t, fewer)
		if d := s.difference(t, fewer); d != "" {
			values, difference = fewer, d
		}
	}
	t.Errorf("%q: %s", values, difference)
	return len(values)
}

// set makes the settings and no others, and deletes those that the server refuses.
func (s *Sessions) set(t *testing.T, values map[string]string) {
	t.Helper()
	Must(t, s.Reset(t.Context()))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if s.Set(t.Context(), name, values[name]) != nil {
			delete(values, name)
		}
	}
}

// work reports whether other clients can work.
func (s *Sessions) work(ctx context.Context) bool {
	return !slices.ContainsFunc(s.Targets, func(as collectors.Target) bool { return s.Works(ctx, as) != nil })
}

// difference returns what differs with the settings, which have been made. What other clients cannot do either is no
// difference.
func (s *Sessions) difference(t *testing.T, values map[string]string) string {
	t.Helper()
	for i, got := range s.collect(t.Context()) {
		diff := cmp.Diff(s.want[i], got, sameReading)
		if diff != "" && !got.names(values) && s.work(t.Context()) {
			return fmt.Sprintf("as %s, without and with:\n%s", s.Targets[i].Username, diff)
		}
	}
	return ""
}

// reading is what an account finds.
type reading struct {
	Databases    models.DatabaseResult
	DatabasesErr *models.Error
	Tables       models.TableResult
	TablesErr    *models.Error
}

// sameReading compares what has been read: errors by their texts, and not the memory that reading took.
var sameReading = cmp.Options{
	cmpopts.IgnoreFields(models.TableResult{}, "ServerBytes"),
	cmp.Transformer("text", func(e *models.Error) string {
		if e == nil {
			return ""
		}
		return e.Error()
	}),
}

func (s *Sessions) collect(ctx context.Context) (found []reading) {
	for _, target := range s.Targets {
		var r reading
		ctx, cancel := context.WithTimeout(ctx, readingPatience)
		var err error
		if r.Databases, err = s.Collector.Databases(ctx, target); err != nil {
			r.DatabasesErr = models.AsError(err)
		}
		if r.Tables, err = s.Collector.Tables(ctx, target, s.Database); err != nil {
			r.TablesErr = models.AsError(err)
		}
		cancel()
		found = append(found, r)
	}
	return found
}

// names reports whether both errors name one of the settings.
func (r *reading) names(values map[string]string) bool {
	named := func(err *models.Error) bool {
		if err == nil {
			return false
		}
		for _, arg := range err.Args {
			if name, ok := arg.(string); ok && values[name] != "" {
				return true
			}
		}
		return false
	}
	return named(r.DatabasesErr) && named(r.TablesErr)
}
