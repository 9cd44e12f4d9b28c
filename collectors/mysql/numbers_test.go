package mysql

import (
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/models"
)

// Impossible statistics concern their table only, and its size is that of its file.
func TestCollector_ImpossibleStatistics(t *testing.T) {
	t.Parallel()
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	for _, name := range []string{"fine", "n_rows", "clustered_index_size", "sum_of_other_index_sizes"} {
		server.Exec(t, database,
			"CREATE TABLE "+name+" (id INT PRIMARY KEY, v INT, KEY (v)) ENGINE=InnoDB STATS_AUTO_RECALC=0",
			"INSERT INTO "+name+" SELECT seq, seq FROM seq_1_to_100", "ANALYZE TABLE "+name)
	}
	for column, value := range map[string]string{
		"n_rows": "18446744073709551615", "clustered_index_size": "1000000000000000",
		"sum_of_other_index_sizes": "9223372036854775808",
	} {
		server.Exec(t, "", "UPDATE mysql.innodb_table_stats SET "+column+" = "+value+
			" WHERE database_name = '"+database+"' AND table_name = '"+column+"'")
	}

	result, found := tablesByName(t, root(server), database)
	wantFileSizes(t, server, database, found)
	collectortest.CheckSizes(t, result.Tables)
	for name, table := range found {
		if impossible := name != "fine"; (table.Note == models.NoteImpossible) != impossible || table.Unread != "" {
			t.Errorf("%s: got %+v, want a note: %v", name, table, impossible)
		}
	}
	if rows := found["n_rows"]; rows.Rows != nil || rows.RowsSource != "" || rows.Data == nil {
		t.Errorf("n_rows: got %+v, want no rows", rows)
	}
	if size := found["clustered_index_size"]; size.Data != nil || size.Rows == nil {
		t.Errorf("clustered_index_size: got %+v, want rows and no division", size)
	}

	databases, err := New().Databases(t.Context(), root(server))
	collectortest.Must(t, err)
	if d := collectortest.DatabaseNamed(t, databases, database); d.Total == nil || *d.Total <= 0 {
		t.Errorf("got %+v, want a size", d)
	}
}
