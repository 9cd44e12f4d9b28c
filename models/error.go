// Package models holds what WhaleFall knows and keeps: the stored entities, the read models that pages
// and JSON share, the Store, and the one error type. It imports no other room of this house.
package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"
)

// Code says what kind of failure an Error is. It is the message_code of the API contract; the HTTP
// status, category and severity follow from it in handlers/fail.go and nowhere else.
type Code string

// The codes of the API contract, chapter 1 and 2.
const (
	CodeInvalid            Code = "VALIDATION_ERROR"
	CodeEmptyRequest       Code = "REQUEST_DATA_EMPTY"
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
	CodeBusy               Code = "SERVICE_UNAVAILABLE"
	CodeInternal           Code = "INTERNAL_ERROR"
	CodePasswordMismatch   Code = "PASSWORD_MISMATCH"
	CodePasswordDuplicated Code = "PASSWORD_DUPLICATED"
	CodePasswordInvalid    Code = "PASSWORD_INVALID"
	CodeInvalidOldPassword Code = "INVALID_OLD_PASSWORD"
	CodeUsernameExists     Code = "USERNAME_EXISTS"
	CodeLastAdmin          Code = "LAST_ADMIN_REQUIRED"
	CodeTagInUse           Code = "TAG_IN_USE"
	CodePasswordChange     Code = "PASSWORD_CHANGE_REQUIRED"
)

// Error is the only error type that packages of the product return to one another. It is classified once, where it
// happens, and written once, by the HTTP error handler or the command line.
type Error struct {
	Code Code
	Key  string         // message key in the catalogue; empty: the code's default message
	Args map[string]any // values for the message's placeholders
	Err  error          `json:"-"` // the cause, for the log only; never shown

	// What code decides by. Each is also a member of the contract's `extra`, see Members; zero: not a member.

	InstanceID int64         // instance_id: the instance the error is about
	RefreshID  int64         // refresh_id: the collection that continues
	RetryAfter time.Duration // retry_after, whole seconds: when to try again
	Reason     string        // reason: why the server could not be reached
	Grant      string        // grant: the statement that would give the missing privilege

	// ServerText is what the monitored server said, for people who may manage the instance; empty: nothing. It is no
	// member.
	ServerText string

	Extra map[string]any // the other members of `extra`: database_name, sqlstate, error_number, …
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s %s: %v", e.Code, e.Key, e.Err)
	}
	return fmt.Sprintf("%s %s", e.Code, e.Key)
}

func (e *Error) Unwrap() error { return e.Err }

// Members returns the members of the contract's `extra` in a map of their own, nil if there are none.
func (e *Error) Members() map[string]any {
	members := maps.Clone(e.Extra)
	set := func(name string, value any, present bool) {
		if !present {
			return
		}
		if members == nil {
			members = map[string]any{}
		}
		members[name] = value
	}
	set("instance_id", e.InstanceID, e.InstanceID != 0)
	set("refresh_id", e.RefreshID, e.RefreshID != 0)
	set("retry_after", int(e.RetryAfter.Seconds()), e.RetryAfter != 0)
	set("reason", e.Reason, e.Reason != "")
	set("grant", e.Grant, e.Grant != "")
	return members
}

// WithInstanceID returns a copy of e about the instance.
func (e *Error) WithInstanceID(id int64) *Error {
	out := *e
	out.InstanceID = id
	return &out
}

// WithRefreshID returns a copy of e that names the collection that continues.
func (e *Error) WithRefreshID(id int64) *Error {
	out := *e
	out.RefreshID = id
	return &out
}

// WithGrant returns a copy of e with the statement that would give the missing privilege.
func (e *Error) WithGrant(statement string) *Error {
	out := *e
	out.Grant = statement
	return &out
}

// serverTextLimit is how many bytes of what a server says are kept.
const serverTextLimit = 500

// WithServerText returns a copy of e with what the server said, in one line of printable characters.
func (e *Error) WithServerText(text string) *Error {
	out := *e
	between := func(r rune) bool { return !unicode.IsGraphic(r) || r == ' ' }
	text = strings.Join(strings.FieldsFunc(cleaned(text), between), " ")
	out.ServerText = strings.ToValidUTF8(text[:min(serverTextLimit, len(text))], "")
	return &out
}

// With returns a copy of e whose Extra has the member name set to value.
func (e *Error) With(name string, value any) *Error {
	out := *e
	out.Extra = make(map[string]any, len(e.Extra)+1)
	maps.Copy(out.Extra, e.Extra)
	out.Extra[name] = value
	return &out
}

// RateLimited returns a CodeRateLimited that says how many requests are allowed and when the next one is.
func RateLimited(limit int, reset, now time.Time) *Error {
	return &Error{
		Code: CodeRateLimited, RetryAfter: WholeSeconds(reset.Sub(now)),
		Extra: map[string]any{"limit": limit, "remaining": 0, "reset": reset.Unix()},
	}
}

// WholeSeconds returns a wait rounded up to whole seconds, at least one, as Error.RetryAfter needs it.
func WholeSeconds(wait time.Duration) time.Duration {
	return max((wait + time.Second - 1).Truncate(time.Second), time.Second)
}

// Invalid returns a CodeInvalid with the message key and its placeholder values as name, value pairs.
func Invalid(key string, pairs ...any) *Error {
	return &Error{Code: CodeInvalid, Key: key, Args: Args(pairs...)}
}

// NotFound returns a CodeNotFound with the message key.
func NotFound(key string) *Error { return &Error{Code: CodeNotFound, Key: key} }

// Args returns the placeholder values of a message, given as name, value pairs.
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

// Is reports whether err is, or wraps, an *Error with the code. A nil err has no code; an unclassified one is
// CodeInternal.
func Is(err error, code Code) bool {
	return err != nil && AsError(err).Code == code
}

// AsError returns err as *Error; anything unclassified becomes CodeInternal with err as its cause.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Err: err}
}

// storedError is an Error as JSON in the store.
type storedError struct {
	Code  Code           `json:"code"`
	Key   string         `json:"key"`
	Args  map[string]any `json:"args,omitempty"`
	Extra map[string]any `json:"extra,omitempty"` // as Error.Members; for runs only

	ServerText string `json:"server_text,omitempty"`
}

// encodeError returns the JSON of an error in the store.
func encodeError(e *Error) (string, error) {
	text, err := json.Marshal(storedError{
		Code: e.Code, Key: e.Key, Args: e.Args, Extra: e.Members(), ServerText: e.ServerText,
	})
	return string(text), err
}

// decodeError reverses encodeError. Numbers in Args and Extra are json.Number.
func decodeError(text string) (*Error, error) {
	var stored storedError
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, err
	}

	e := &Error{
		Code: stored.Code, Key: stored.Key, Args: stored.Args, Extra: stored.Extra, ServerText: stored.ServerText,
	}
	e.InstanceID = takeNumber(e.Extra, "instance_id")
	e.RefreshID = takeNumber(e.Extra, "refresh_id")
	e.RetryAfter = time.Duration(takeNumber(e.Extra, "retry_after")) * time.Second
	e.Reason = takeText(e.Extra, "reason")
	e.Grant = takeText(e.Extra, "grant")
	return e, nil
}

// takeNumber removes a number from the members and returns it, 0 if there is none.
func takeNumber(members map[string]any, name string) int64 {
	text, ok := members[name].(json.Number)
	if !ok {
		return 0
	}
	number, err := text.Int64()
	if err != nil {
		return 0
	}
	delete(members, name)
	return number
}

// takeText removes a text from the members and returns it, empty if there is none.
func takeText(members map[string]any, name string) string {
	text, ok := members[name].(string)
	if ok {
		delete(members, name)
	}
	return text
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
