// Package models holds what WhaleFall knows and keeps: the stored entities, the read models that pages
// and JSON share, the Store, and the one error type. It imports no other room of this house.
package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Code says what kind of failure an Error is. It is the message_code of the API contract; the HTTP
// status, category and severity follow from it in handlers/fail.go and nowhere else.
type Code string

// The codes of the API contract, chapter 1 and 2.
const (
	CodeInvalid            Code = "VALIDATION_ERROR"
	CodeUnauthenticated    Code = "AUTHENTICATION_REQUIRED"
	CodeInvalidCredentials Code = "INVALID_CREDENTIALS"
	CodeAccountDisabled    Code = "ACCOUNT_DISABLED"
	CodeForbidden          Code = "PERMISSION_REQUIRED"
	CodeCSRFMissing        Code = "CSRF_MISSING"
	CodeCSRFInvalid        Code = "CSRF_INVALID"
	CodeNotFound           Code = "RESOURCE_NOT_FOUND"
	CodeInvalidRequest     Code = "INVALID_REQUEST" // unknown path: 404
	CodeMethodNotAllowed   Code = "METHOD_NOT_ALLOWED"
	CodeTooLarge           Code = "PAYLOAD_TOO_LARGE"
	CodeUnsupportedMedia   Code = "UNSUPPORTED_MEDIA_TYPE"
	CodeConflict           Code = "CONSTRAINT_VIOLATION"
	CodeUnreachable        Code = "DATABASE_CONNECTION_ERROR"
	CodeCollection         Code = "SYNC_DATA_ERROR"
	CodeTimeout            Code = "COLLECTION_TIMEOUT"
	CodeRateLimited        Code = "RATE_LIMIT_EXCEEDED"
	CodeInternal           Code = "INTERNAL_ERROR"
	CodePasswordMismatch   Code = "PASSWORD_MISMATCH"
	CodePasswordDuplicated Code = "PASSWORD_DUPLICATED"
	CodePasswordInvalid    Code = "PASSWORD_INVALID"
	CodeInvalidOldPassword Code = "INVALID_OLD_PASSWORD"
	CodeUsernameExists     Code = "USERNAME_EXISTS"
	CodeLastAdmin          Code = "LAST_ADMIN_REQUIRED"
)

// Error is the only error type that leaves a room of this house. It is classified once, where it
// happens, and written once, by the HTTP error handler or the command line.
type Error struct {
	Code  Code
	Key   string         // message key in the catalogue; empty means the code's default message
	Args  map[string]any // values for the message's placeholders
	Extra map[string]any // members of the contract's `extra`: instance_id, database_name, sqlstate, grant, …
	Err   error          `json:"-"` // the cause, for the log only; never shown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s %s: %v", e.Code, e.Key, e.Err)
	}
	return fmt.Sprintf("%s %s", e.Code, e.Key)
}

func (e *Error) Unwrap() error { return e.Err }

// With returns a copy of e whose extra has the member name set to value.
func (e *Error) With(name string, value any) *Error {
	out := *e
	out.Extra = make(map[string]any, len(e.Extra)+1)
	for k, v := range e.Extra {
		out.Extra[k] = v
	}
	out.Extra[name] = value
	return &out
}

// Invalid is a 400 with the message key and its placeholder values given as name, value pairs.
func Invalid(key string, pairs ...any) *Error {
	return &Error{Code: CodeInvalid, Key: key, Args: Args(pairs...)}
}

// NotFound is a 404 with the message key.
func NotFound(key string) *Error { return &Error{Code: CodeNotFound, Key: key} }

// Args builds the placeholder map of a message from name, value pairs.
func Args(pairs ...any) map[string]any {
	if len(pairs) == 0 {
		return nil
	}
	args := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		args[pairs[i].(string)] = pairs[i+1]
	}
	return args
}

// Is reports whether err is, or wraps, an *Error with the code. A nil err has no code; an unclassified one is CodeInternal.
func Is(err error, code Code) bool {
	return err != nil && AsError(err).Code == code
}

// AsError returns err as *Error; anything unclassified becomes CodeInternal with err as its cause.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Err: err}
}

// storedError is what the store remembers of an Error.
type storedError struct {
	Code Code           `json:"code"`
	Key  string         `json:"key"`
	Args map[string]any `json:"args,omitempty"`

	Extra map[string]any `json:"extra,omitempty"` // of runs only
}

// renamedKeys maps the beginnings of message keys that earlier releases stored to those of this one.
var renamedKeys = map[string]string{"collect.pg.": "collect.postgresql.", "collect.mssql.": "collect.sqlserver."}

// UnmarshalJSON reads what this or an earlier release stored.
func (e *storedError) UnmarshalJSON(text []byte) error {
	type plain storedError
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // large numbers keep their digits
	if err := decoder.Decode((*plain)(e)); err != nil {
		return err
	}

	for before, now := range renamedKeys {
		if rest, renamed := strings.CutPrefix(e.Key, before); renamed {
			e.Key = now + rest
			break
		}
	}
	return nil
}
