package oracle

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sijms/go-ora/v2/network"
)

// refused returns an error as the database sends it.
func refused(code int, about ...any) error {
	text := fmt.Sprintf("ORA-%05d: "+messages[code], append([]any{code}, about...)...)
	return &network.OracleError{ErrCode: code, ErrMsg: text}
}

var messages = map[int]string{
	900:   "invalid SQL statement (%v)",
	904:   "%q: invalid identifier",
	911:   "invalid character",
	942:   "table or view does not exist",
	1008:  "not all variables bound",
	1013:  "user requested cancel of current operation",
	1017:  "invalid username/password; logon denied",
	1031:  "insufficient privileges",
	2003:  "invalid USERENV parameter",
	28000: "The account is locked.",
	28001: "the password has expired",
	41900: "missing READ privilege on \"SYS\".%q",
}

// denied returns the refusal of a view with the number that a test chose.
func denied(code int, view string) error {
	if strings.Contains(messages[code], "%q") {
		return refused(code, view)
	}
	return refused(code)
}

// notRun returns Oracle's error for a statement that SQLite could not run.
func notRun(err error) error {
	text := err.Error()
	if strings.Contains(text, "no such table") {
		return refused(942)
	}
	if _, column, found := strings.Cut(text, "no such column: "); found {
		name, _, _ := strings.Cut(column, " ")
		return refused(904, strings.ToUpper(name))
	}
	return refused(900, err)
}

// lost reports whether go-ora considers the connection lost after the error.
func lost(err error) bool {
	var refusal *network.OracleError
	return errors.Is(err, io.EOF) || errors.As(err, &refusal) && refusal.Bad()
}
