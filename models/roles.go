package models

import "slices"

// Role of a user. What each may do is decided in Role.May.
type Role string

// The three roles of the contract.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
	RoleGuest Role = "guest"
)

// Roles lists every role, the one that may least first.
var Roles = []Role{RoleGuest, RoleUser, RoleAdmin}

// Known reports whether there is such a role.
func (r Role) Known() bool { return slices.Contains(Roles, r) }

// Covers reports whether r may everything that other may; an unknown role covers none and is covered by none.
func (r Role) Covers(other Role) bool {
	mine, others := slices.Index(Roles, r), slices.Index(Roles, other)
	return others >= 0 && mine >= others
}

// lesser is the role that may less; of an unknown one and any other, none.
func lesser(a, b Role) Role {
	switch {
	case a.Covers(b):
		return b
	case b.Covers(a):
		return a
	}
	return ""
}

// Permission is what a route asks for.
type Permission string

// The contract's permissions.
const (
	PermView   Permission = "view"
	PermCreate Permission = "create"
	PermUpdate Permission = "update"
	PermDelete Permission = "delete"
	PermAdmin  Permission = "admin"
	PermSync   Permission = "instance_management.instance_list.sync_capacity"
)

// Permissions lists every permission in the order in which a session reports them.
var Permissions = []Permission{PermView, PermCreate, PermUpdate, PermDelete, PermAdmin, PermSync}

// May reports whether the role has the permission.
func (r Role) May(p Permission) bool {
	switch r {
	case RoleAdmin:
		return true
	case RoleUser:
		return p == PermView || p == PermSync
	case RoleGuest:
		return p == PermView
	}
	return false
}
