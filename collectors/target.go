package collectors

import (
	"context"
	"strconv"

	"whalefall/models"
)

// target loads an instance and returns it with what is needed to connect to it. An inactive instance and one without a
// credential are CodeCollection errors.
func (s *Service) target(ctx context.Context, id int64) (models.Instance, Target, error) {
	instance, err := s.store.Instance(ctx, id)
	if err != nil {
		return instance, Target{}, err
	}
	if !instance.IsActive {
		return instance, Target{}, About(&models.Error{Code: models.CodeCollection, Key: "collect.instance_inactive"}, id, "")
	}
	t, err := s.TargetOf(instance)
	return instance, t, err
}

// TargetOf returns what is needed to connect to a stored instance, with the password unsealed. An instance that needs a
// credential and has none is a CodeCollection error.
func (s *Service) TargetOf(i models.Instance) (Target, error) {
	t := Target{
		InstanceID: i.ID, Name: i.Name, Engine: i.DBType, Database: i.DatabaseName,
		TLSMode: i.TLSMode, Options: i.Options,
	}
	if i.DBType == models.SQLite {
		return t, nil
	}
	if i.Credential == nil {
		return t, About(&models.Error{Code: models.CodeCollection, Key: "collect.no_credential"}, i.ID, "")
	}
	password, err := s.store.Password(*i.Credential)
	if err != nil {
		return t, err
	}
	t.Host, t.Port = *i.Host, *i.Port
	t.Username, t.Password = i.Credential.Username, password
	return t, nil
}

// Capabilities returns those of the engine's collector, the zero value where there is none.
func (s *Service) Capabilities(e models.Engine) models.Capabilities {
	if c, ok := s.engines[e]; ok {
		return c.Capabilities()
	}
	return models.Capabilities{}
}

func (s *Service) collector(e models.Engine) (Collector, error) {
	if c, ok := s.engines[e]; ok {
		return c, nil
	}
	return nil, &models.Error{
		Code: models.CodeCollection, Key: "collect.engine_missing", Args: models.Args("Engine", string(e)),
	}
}

// About adds to an error of a target which instance, and unless it is empty which database, it is about. Errors of
// other codes are returned unchanged.
func About(err error, id int64, database string) error {
	e := models.AsError(err)
	switch e.Code {
	case models.CodeUnreachable, models.CodeCollection, models.CodeTimeout:
	default:
		return err
	}
	e = e.WithInstanceID(id)
	if database != "" {
		e = e.With("database_name", database)
	}
	return e
}

// configuration returns a fingerprint of what an instance is collected with. It changes with every edit of the instance
// or its credential.
func configuration(i models.Instance) string {
	edited := strconv.FormatInt(i.UpdatedAt.UnixMicro(), 36)
	if c := i.Credential; c != nil {
		edited += "-" + strconv.FormatInt(c.ID, 36) + "-" + strconv.FormatInt(c.UpdatedAt.UnixMicro(), 36)
	}
	return edited
}
