package oracle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sijms/go-ora/v2/network"

	"whalefall/collectors"
	"whalefall/models"
)

// Error numbers that are used in more than one place.
const (
	codeNoSuchView   = 942
	codeNoPrivilege  = 1031
	codeNoSession    = 1045
	codeRecursive    = 604   // a statement that the server ran itself failed, for example in a logon trigger
	codeTrigger      = 4088  // a trigger failed
	codeNoPrivilege2 = 41900 // since 23ai, which names the privilege
)

// Message keys that are used in more than one place.
const (
	keyDenied = "collect.oracle.denied"
	keyLocked = "collect.oracle.locked"
	keyClosed = "collect.oracle.not_open"
)

// Reasons for a failed connection that only Oracle has.
const (
	reasonService  = "service"  // the listener knows no such service or SID
	reasonVerifier = "verifier" // client and server have no password verifier in common
	reasonWallet   = "wallet"   // the wallet cannot be read
	reasonArchiver = "archiver" // only SYSDBA may log in until redo can be archived again
)

// meaning describes what an error number means to the user. With a reason, the connection failed or was lost; with a
// key, the server refused a statement.
type meaning struct {
	key    string
	reason string
}

var meanings = map[int]meaning{
	1005:          {reason: collectors.ReasonLogin}, // no password
	1017:          {reason: collectors.ReasonLogin}, // wrong user or password
	1035:          {reason: collectors.ReasonLogin}, // only RESTRICTED SESSION may log in
	codeNoSession: {reason: collectors.ReasonLogin}, // no CREATE SESSION
	12506:         {reason: collectors.ReasonLogin}, // the listener's access list
	28000:         {reason: collectors.ReasonLogin}, // account locked
	28001:         {reason: collectors.ReasonLogin}, // password expired
	28009:         {reason: collectors.ReasonLogin}, // SYS not as SYSDBA
	28040:         {reason: reasonVerifier},
	28041:         {reason: reasonVerifier},
	12154:         {reason: collectors.ReasonUnresolved},
	12545:         {reason: collectors.ReasonUnresolved},
	12170:         {reason: collectors.ReasonTimeout},
	12535:         {reason: collectors.ReasonTimeout},
	12541:         {reason: collectors.ReasonRefused},
	12505:         {reason: reasonService}, // SID
	12514:         {reason: reasonService}, // service
	12521:         {reason: reasonService}, // instance
	12564:         {reason: reasonService}, // refused without an explanation
	12560:         {reason: collectors.ReasonProtocol},
	12569:         {reason: collectors.ReasonProtocol},
	257:           {reason: reasonArchiver},
	18:            {reason: collectors.ReasonBusy}, // sessions
	20:            {reason: collectors.ReasonBusy}, // processes
	2391:          {reason: collectors.ReasonBusy}, // sessions of this user
	12516:         {reason: collectors.ReasonBusy},
	12518:         {reason: collectors.ReasonBusy},
	12519:         {reason: collectors.ReasonBusy},
	12520:         {reason: collectors.ReasonBusy},
	1033:          {reason: collectors.ReasonStarting},
	1034:          {reason: collectors.ReasonStarting},
	1089:          {reason: collectors.ReasonStarting},
	1090:          {reason: collectors.ReasonStarting},
	1092:          {reason: collectors.ReasonStarting},
	12526:         {reason: collectors.ReasonStarting}, // restricted mode
	12527:         {reason: collectors.ReasonStarting},
	12528:         {reason: collectors.ReasonStarting},
	28:            {reason: collectors.ReasonLost}, // killed
	1012:          {reason: collectors.ReasonLost}, // not logged on
	2396:          {reason: collectors.ReasonLost}, // idle for too long
	2399:          {reason: collectors.ReasonLost}, // connected for too long
	3113:          {reason: collectors.ReasonLost},
	3114:          {reason: collectors.ReasonLost},
	3135:          {reason: collectors.ReasonLost},
	3136:          {reason: collectors.ReasonLost},
	12537:         {reason: collectors.ReasonLost},
	12547:         {reason: collectors.ReasonLost},
	12570:         {reason: collectors.ReasonLost},
	28759:         {reason: reasonWallet},
	28857:         {reason: collectors.ReasonTLS},
	28860:         {reason: collectors.ReasonTLS},
	28862:         {reason: collectors.ReasonTLS},
	28864:         {reason: collectors.ReasonTLS},
	28865:         {reason: collectors.ReasonTLS},
	29024:         {reason: collectors.ReasonTLS}, // certificate not trusted

	54:               {key: keyLocked},
	4021:             {key: keyLocked},
	codeNoSuchView:   {key: keyDenied},
	codeNoPrivilege:  {key: keyDenied},
	codeNoPrivilege2: {key: keyDenied},
	1013:             {key: "collect.oracle.interrupted"},
	1109:             {key: keyClosed},
	1219:             {key: keyClosed},
	1555:             {key: "collect.oracle.snapshot_too_old"},
}

// isDenied reports whether the account lacks the privilege to read a view. Before 23ai, servers report such a view as
// missing.
func isDenied(err error) bool {
	switch errorNumber(err) {
	case codeNoSuchView, codeNoPrivilege, codeNoPrivilege2:
		return true
	}
	return false
}

// failed classifies an error that occurred in this session.
func (s *session) failed(ctx context.Context, err error) error {
	return failure(ctx, s.target, err, false)
}

// failure returns err as a *models.Error. connecting says that it occurred before the session was established.
func failure(ctx context.Context, t collectors.Target, err error, connecting bool) error {
	if known := collectors.Settled(ctx, err); known != nil {
		return known
	}
	number := errorNumber(err)
	switch {
	case number != 0:
		return refused(t, number, err, connecting)
	case connecting, collectors.ConnectionLost(err):
		return collectors.Unreachable(t, collectors.ConnectReason(err), err)
	case errors.Is(err, context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	}
	return &models.Error{Code: models.CodeCollection, Err: err}
}

// refused returns the error for a number that the server or its listener sent. Unless the server refused a single
// statement, the connection counts as failed or lost.
func refused(t collectors.Target, number int, err error, connecting bool) *models.Error {
	meaning := meanings[number]
	var refused *models.Error
	switch {
	case connecting && (isDenied(err) || number == codeRecursive || number == codeTrigger):
		// SYS without SYSDBA, or a logon trigger that rejects the account.
		refused = collectors.Unreachable(t, collectors.ReasonLogin, err)
	case meaning.reason != "":
		refused = collectors.Unreachable(t, meaning.reason, err)
	case connecting && meaning.key == "":
		refused = collectors.Unreachable(t, collectors.ReasonAnswered, err)
	default:
		refused = &models.Error{
			Code: models.CodeCollection, Key: cmp.Or(meaning.key, "collect.oracle.failed"), Err: err,
			Args: models.Args("Number", fmt.Sprintf("%05d", number)),
		}
	}

	if number == codeNoSession {
		refused = refused.WithGrant("GRANT CREATE SESSION TO " + quoted(account(t.Username)) + ";")
	}
	return answered(refused, err)
}

// answered returns e with the number and the text of the server's error.
func answered(e *models.Error, err error) *models.Error {
	if sent, ok := errors.AsType[*network.OracleError](err); ok {
		return e.With("error_number", sent.ErrCode).WithServerText(sent.Error())
	}
	return e
}

// account returns the user name that a login stands for: in upper case unless the login is quoted.
func account(login string) string {
	if strings.HasPrefix(login, `"`) {
		return strings.Trim(login, `"`)
	}
	return strings.ToUpper(login)
}
