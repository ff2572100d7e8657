package s3

import (
	"bytes"
	"context"
	"fmt"

	"flydeploy/engine"
)

const jsonType = "application/json"

// Metadata implements engine.Records.
func (b *Bucket) Metadata(ctx context.Context) (engine.Metadata, string, error) {
	found, err := b.get(ctx, "read the deployment metadata", b.currentKey(), maxDocument)
	if err != nil {
		return engine.Metadata{}, "", err
	}
	m, err := engine.DecodeMetadata(found.body)
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
	body, err := engine.EncodeMetadata(m)
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
