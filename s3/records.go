package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"flydeploy/engine"
)

const jsonType = "application/json"

// Metadata implements engine.Records.
func (b *Bucket) Metadata(ctx context.Context) (engine.Metadata, string, error) {
	found, err := b.get(ctx, "read the deployment metadata", b.currentKey(), maxDocument)
	if err != nil {
		return engine.Metadata{}, "", err
	}
	m, err := decodeMetadata(found.body)
	if err != nil {
		return engine.Metadata{}, "", engine.NewProblem("metadata_unreadable",
			b.uri(b.currentKey())+" does not have the form that fly_deploy writes", err,
			"Inspect the object. If it is deleted, machines that restart run their image again.")
	}
	return m, found.etag, nil
}

// WriteMetadata implements engine.Records. A PUT whose answer was lost counts as written if the object that is then
// read back is the one that was sent.
func (b *Bucket) WriteMetadata(ctx context.Context, m engine.Metadata, etag string) error {
	const op = "write the deployment metadata"
	body, err := encodeMetadata(m)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = b.put(ctx, op, b.currentKey(), jsonType, body, ifUnchanged(etag))
	if err == nil || ctx.Err() != nil {
		return err
	}
	if stored, readErr := b.get(ctx, op, b.currentKey(), maxDocument); readErr == nil && bytes.Equal(stored.body, body) {
		return nil
	}
	return err
}

// The fields of current.json that flydeploy knows. All others are kept.
const (
	fieldImageRef        = "image_ref"
	fieldImage           = "image"
	fieldImageCode       = "image_code"
	fieldHotUpgrade      = "hot_upgrade"
	fieldMachineUpgrades = "machine_upgrades"
	fieldOwnCode         = "own_code"
)

func decodeMetadata(body []byte) (engine.Metadata, error) {
	var m engine.Metadata
	if err := json.Unmarshal(body, &m.Extra); err != nil {
		return m, err
	}
	if m.Extra == nil {
		return m, errors.New("the document is null")
	}
	for field, into := range map[string]any{
		fieldImageRef: &m.ImageRef, fieldImage: &m.Image, fieldImageCode: &m.ImageCode, fieldHotUpgrade: &m.HotUpgrade, fieldMachineUpgrades: &m.MachineUpgrades,
		fieldOwnCode: &m.OwnCode,
	} {
		if raw, ok := m.Extra[field]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return m, fmt.Errorf("%s: %w", field, err)
			}
			delete(m.Extra, field)
		}
	}
	return m, nil
}

func encodeMetadata(m engine.Metadata) ([]byte, error) {
	document := make(map[string]any, len(m.Extra)+4)
	for field, raw := range maps.All(m.Extra) {
		document[field] = raw
	}
	document[fieldImageRef] = m.ImageRef
	if m.Image != "" {
		document[fieldImage] = m.Image
	}
	if m.ImageCode != nil {
		document[fieldImageCode] = m.ImageCode
	}
	document[fieldHotUpgrade] = m.HotUpgrade
	if len(m.MachineUpgrades) > 0 {
		document[fieldMachineUpgrades] = m.MachineUpgrades
	}
	if m.OwnCode != nil {
		document[fieldOwnCode] = m.OwnCode
	}
	return json.MarshalIndent(document, "", "  ")
}
