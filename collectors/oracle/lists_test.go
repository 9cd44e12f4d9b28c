package oracle

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/oracle"
)

func TestCollector_Cut(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas(), MaxRows: 1})
	target := collectortest.OracleTarget(t, server, "WHALEFALL", true)

	var seen int
	for _, tablespace := range []string{"USERS", "DATA", "TEMP"} {
		result, err := collectorFor(server).Tables(t.Context(), target, tablespace)
		if err != nil {
			collectortest.WantError(t, err, models.CodeCollection, "collect.short")
			if collectors.IsGone(err) {
				t.Errorf("%s: counts as gone", tablespace)
			}
			continue
		}
		seen++
		collectortest.WantCutShort(t, result)
		for _, other := range result.Others {
			collectortest.WantCutShort(t, other)
		}
	}
	if seen == 0 {
		t.Error("got no result at all")
	}

	databases, err := collectorFor(server).Databases(t.Context(), target)
	collectortest.WantCutShortDatabases(t, databases, err)
}
