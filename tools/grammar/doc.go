// Package grammar holds tests only: they parse every statement that is shipped for SQL Server and Oracle with a grammar
// of its dialect, and look up each view and column in the lists written from the vendors' reference pages. It is a
// module of its own because the parsers are 25 MB of Go that the program does not need.
package grammar
