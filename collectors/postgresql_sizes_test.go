package collectors

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPostgresArraysOfNumbers(t *testing.T) {
	for _, c := range []struct {
		array any
		want  pgNumbers
	}{
		{nil, nil},
		{"{NULL}", pgNumbers{nil}},
		{"{0,NULL,9223372036854775807}", pgNumbers{new(int64(0)), nil, new(int64(1<<63 - 1))}},
	} {
		var got pgNumbers
		if err := got.Scan(c.array); err != nil {
			t.Errorf("%v: %v", c.array, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v: %s", c.array, diff)
		}
	}
	for _, array := range []string{"{}", "{1,}", "{1,x}", `{"1"}`, "{{1},{2}}"} {
		if err := new(pgNumbers).Scan(array); err == nil {
			t.Errorf("%s is taken for numbers", array)
		}
	}
}
