package views

import (
	"fmt"
	"net/url"

	"whalefall/models"
)

// InstanceDetail is the model of the page of one instance with its databases.
type InstanceDetail struct {
	Listing
	Instance models.Instance
	Schedule InstanceSchedule // not shown without an InstanceID
	Bar      RunBar
	Cards    models.CapacityCards
	Sizes    models.DatabaseSizePage
	Name     string // filter by name
	ShowGone bool
}

// whyFailed returns why the newest run could not measure or access a database; empty: it could.
func whyFailed(p Page, d models.DatabaseSizeRow) string {
	if d.Failed == nil {
		return ""
	}
	return Failed(p.Lang, d.Failed)
}

// partial reports whether the monitoring account may have seen only some of the server's databases.
func (m InstanceDetail) partial() bool {
	return m.Instance.DatabasesComplete != nil && !*m.Instance.DatabasesComplete
}

func (m InstanceDetail) noticeID() string {
	if m.partial() {
		return "databases-incomplete"
	}
	return "databases-barred"
}

// TablesPath returns the address of a database's table sizes. The names "." and ".." cannot be part of an address;
// they go by the database's ID.
func TablesPath(instanceID, databaseID int64, name string) string {
	if name == "." || name == ".." {
		return fmt.Sprintf("/databases/%d/tables", databaseID)
	}
	return fmt.Sprintf("/instances/%d/databases/%s/tables", instanceID, url.PathEscape(name))
}
