package models_test

import (
	"fmt"
	"slices"
	"testing"

	"whalefall/models"
)

func (f *fixture) tagNames(q models.TagQuery) []string {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	page, err := f.TagPage(f.ctx, q)
	check(f, err)
	names := []string{}
	for _, t := range page.Items {
		names = append(names, t.Name)
	}
	return names
}

func TestStore_TagPage_InstanceCount(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		create := func(name string, tags ...string) models.Instance {
			i, err := f.CreateInstance(f.ctx, models.Instance{Name: name}, tags, nil)
			check(f, err)
			return i
		}
		create("one", "prod", "north")
		gone := create("two", "prod", "old")
		_, err := f.DeleteInstance(f.ctx, gone.ID)
		check(f, err)
		unused, err := f.CreateTag(f.ctx, models.Tag{Name: "unused", DisplayName: "未使用", Color: "teal"})
		check(f, err)

		page, err := f.TagPage(f.ctx, models.TagQuery{Limit: 100})
		check(f, err)
		counts := ""
		for _, t := range page.Items {
			counts += fmt.Sprintf("%s:%d ", t.Name, t.InstanceCount)
		}
		equal(f, "counts", counts, "north:1 old:0 prod:1 unused:0 ")
		equal(f, "total", page.Total, 4)
		equal(f, "by count", fmt.Sprint(f.tagNames(models.TagQuery{Sort: "instances", Desc: true})),
			"[north prod old unused]")
		second := models.TagQuery{Sort: "nonsense", Desc: true, Limit: 2, Offset: 2}
		equal(f, "second page", fmt.Sprint(f.tagNames(second)), "[old north]")

		_, _, err = f.RestoreInstance(f.ctx, gone.ID)
		check(f, err)
		prod := page.Items[2]
		prod, err = f.Tag(f.ctx, prod.ID)
		check(f, err)
		equal(f, "after the restore", prod.InstanceCount, 2)

		wantError(f, f.DeleteTag(f.ctx, prod.ID), models.CodeTagInUse, "tag.in_use")
		_, err = f.DeleteInstances(f.ctx, f.instancesWith("prod"))
		check(f, err)
		check(f, f.DeleteTag(f.ctx, prod.ID))
		restored, _, err := f.RestoreInstance(f.ctx, gone.ID)
		check(f, err)
		restored, err = f.Instance(f.ctx, restored.ID)
		check(f, err)
		equal(f, "tags left", fmt.Sprintf("%d %s", len(restored.Tags), restored.Tags[0].Name), "1 old")
		wantError(f, f.DeleteTag(f.ctx, prod.ID), models.CodeNotFound, "tag.not_found")
		_, err = f.Tag(f.ctx, prod.ID)
		wantError(f, err, models.CodeNotFound, "tag.not_found")
		_, err = f.UpdateTag(f.ctx, prod.Tag)
		wantError(f, err, models.CodeNotFound, "tag.not_found")

		unused.Name, unused.Color = "used", "red"
		changed, err := f.UpdateTag(f.ctx, unused.Tag)
		check(f, err)
		want := models.Tag{ID: unused.ID, Name: "used", DisplayName: "未使用", Color: "red"}
		equal(f, "changed", changed, models.TagItem{Tag: want})
		unused.Name = "old"
		_, err = f.UpdateTag(f.ctx, unused.Tag)
		wantError(f, err, models.CodeConflict, "tag.name_taken")
		_, err = f.CreateTag(f.ctx, models.Tag{Name: "old"})
		wantError(f, err, models.CodeConflict, "tag.name_taken")
		_, err = f.CreateTag(f.ctx, models.Tag{Name: "a\x00"})
		wantError(f, err, models.CodeInvalid, "text.not_storable")
		_, err = f.UpdateTag(f.ctx, models.Tag{ID: unused.ID, Name: "a", DisplayName: "\xff"})
		wantError(f, err, models.CodeInvalid, "text.not_storable")
	})
}

// instancesWith returns the ids of the instances that have the tag.
func (f *fixture) instancesWith(tag string) []int64 {
	f.Helper()
	page, err := f.Instances(f.ctx, models.InstanceQuery{Tags: []string{tag}, Limit: 100})
	check(f, err)
	var ids []int64
	for _, item := range page.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

func TestStore_TagPage_Search(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		for _, name := range hostile {
			_, err := f.CreateTag(f.ctx, models.Tag{Name: name, DisplayName: "ÄÖ " + name, Color: "gray"})
			check(f, err)
		}
		for _, name := range hostile {
			if names := f.tagNames(models.TagQuery{Search: name}); !slices.Contains(names, name) {
				f.Errorf("search for %q: %q", name, names)
			}
		}
		for term, found := range map[string]int{
			"äö": len(hostile), "CASE": 2, "100%_": 1, "%%": 0, "\x00": 0, "\xff": 0, "": len(hostile),
		} {
			equal(f, fmt.Sprintf("%q", term), len(f.tagNames(models.TagQuery{Search: term})), found)
		}
	})
}
