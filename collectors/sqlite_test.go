package collectors
var sqliteEngine = engine{}
