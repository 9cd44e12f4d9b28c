package handlers

import (
	"reflect"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

// documentTypes says about our types what reflection cannot see.
func documentTypes() openapi.Types {
	extra := reflect.TypeFor[extraJSON]()
	return openapi.Types{
		Error:        reflect.TypeFor[problem](),
		Names:        map[string]string{"problem": "Error", "problemContext": "ErrorContext", "extraJSON": "ErrorExtra"},
		Enums:        documentEnums,
		MemberEnums:  documentMemberEnums,
		MemberTypes:  map[string]reflect.Type{"Error.extra": extra, "ConnectionResult.extra": extra, "RunError.extra": extra},
		TimeMembers:  []string{"timestamp", "last_connected", "last_sync_time", "last_login"},
		Descriptions: documentMembers,
	}
}

// documentEnums lists the string types that have a fixed set of values.
var documentEnums = map[reflect.Type][]any{
	reflect.TypeFor[models.Engine]():         openapi.Values(models.Engines...),
	reflect.TypeFor[models.Period]():         openapi.Values(models.Periods...),
	reflect.TypeFor[models.Role]():           openapi.Values(models.Roles...),
	reflect.TypeFor[models.Permission]():     openapi.Values(models.Permissions...),
	reflect.TypeFor[models.TLSMode]():        openapi.Values(tlsModes...),
	reflect.TypeFor[models.ScheduleStatus](): openapi.Values(models.ScheduleStatuses...),
	reflect.TypeFor[models.Action]():         openapi.Values(models.Actions...),
	reflect.TypeFor[models.Code]():           codes(),
	reflect.TypeFor[models.Kind](): openapi.Values(models.KindTable, models.KindPartitioned, models.KindPartition,
		models.KindMatview, models.KindSequence, models.KindMerge, models.KindMemory, models.KindExternal, models.KindShadow,
		models.KindIndexedView, models.KindMemoryOptimized, models.KindCluster, models.KindRecycleBin, models.KindTemporary),
	reflect.TypeFor[models.Note](): openapi.Values(models.NoteUnclassified, models.NoteClustered,
		models.NoteHistory, models.NoteShipped, models.NoteFullText, models.NoteImpossible),
	reflect.TypeFor[models.RunKind]():  openapi.Values(models.RunTables, models.RunDatabases),
	reflect.TypeFor[models.RunPhase](): openapi.Values(models.PhaseConnecting, models.PhaseQuerying, models.PhaseStoring),
	reflect.TypeFor[models.RunStatus](): openapi.Values(models.RunQueued, models.RunRunning, models.RunSucceeded,
		models.RunFailed, models.RunCancelled, models.RunInterrupted),
	reflect.TypeFor[models.RowsSource](): openapi.Values(models.RowsExact, models.RowsStatistic),
	reflect.TypeFor[models.SizeSource](): openapi.Values(models.SizeAllocated, models.SizeStatistic, models.SizeNone),
	reflect.TypeFor[models.Unread]():     openapi.Values(models.UnreadLocked, models.UnreadHidden, models.UnreadFailed),
}

// codes returns the message codes that clients see, in alphabetical order.
func codes() []any {
	var all []models.Code
	for code := range kinds {
		if code != models.CodeMethodNotAllowed {
			all = append(all, code)
		}
	}
	slices.Sort(all)
	return openapi.Values(all...)
}

// documentMemberEnums lists the values of string members, by "Component.member" or by member.
var documentMemberEnums = map[string][]any{
	"status":                   openapi.Values("active", "inactive", "deleted"),
	"SyncResult.status":        openapi.Values("completed"),
	"ConnectionStatus.status":  openapi.Values("unknown", "good", "warning", "poor"),
	"LedgerStatus.value":       openapi.Values("pending", "completed", "running", "failed"),
	"LedgerStatus.variant":     openapi.Values("secondary", "success", "warning", "danger"),
	"trend_direction":          openapi.Values("growing", "shrinking", "stable"),
	"TagDeletion.status":       openapi.Values("deleted", "not_found", "in_use", "invalid_id", "error"),
	"BasicHealth.status":       openapi.Values("healthy"),
	"StoreHealth.status":       openapi.Values("healthy", "unhealthy"),
	"StoreHealth.database":     openapi.Values("connected", "error"),
	"deletion_mode":            openapi.Values("soft", "hard"),
	"credential_type":          openapi.Values("database"),
	"CredentialDetail.db_type": append(openapi.Values(models.Engines...), nil),
	"Error.category": openapi.Values("validation", "authentication", "authorization", "security",
		"business", "external", "system"),
	"Error.severity": openapi.Values("low", "medium", "high"),
	"ErrorExtra.reason": openapi.Values("refused", "timeout", "unresolved", "unroutable", "tls", "protocol", "login",
		"busy", "starting", "missing", "answered", "lost"),
}
