package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"flydeploy/engine"
)

// WriteResult implements engine.Records. Writing the same name again replaces it.
func (b *Bucket) WriteResult(ctx context.Context, upgradeID, name string, body []byte) error {
	key := b.resultKey(upgradeID, name)
	if err := checkKey(key); err != nil {
		return err
	}
	contentType := jsonType
	if strings.HasSuffix(name, ".ndjson") {
		contentType = "application/x-ndjson"
	}
	_, err := b.put(ctx, "write the record", key, contentType, body, condition{})
	return err
}

// PresignResult implements engine.Records.
func (b *Bucket) PresignResult(ctx context.Context, upgradeID, name string, valid time.Duration) (url, key string, err error) {
	key = b.resultKey(upgradeID, name)
	if err := checkKey(key); err != nil {
		return "", "", err
	}
	request, err := b.plainPresigner.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &b.bucket, Key: &key},
		s3.WithPresignExpires(valid))
	if err != nil {
		return "", "", b.explain(ctx, "sign an upload", key, err)
	}
	return request.URL, key, nil
}

// Result implements engine.Records.
func (b *Bucket) Result(ctx context.Context, upgradeID, name string) (engine.Document, error) {
	key := b.resultKey(upgradeID, name)
	if err := checkKey(key); err != nil {
		return engine.Document{}, err
	}
	found, err := b.get(ctx, "read the record", key, maxResult)
	if err != nil {
		return engine.Document{}, err
	}
	return engine.Document{Body: found.body, Age: found.age, Address: b.address(ctx, key)}, nil
}

// address is an object's URL, in the style in which the bucket is addressed.
func (b *Bucket) address(ctx context.Context, key string) string {
	request, err := b.plainPresigner.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		return "" // it is for people, and they can do without
	}
	address, _, _ := strings.Cut(request.URL, "?")
	return address
}

// Results implements engine.Records.
func (b *Bucket) Results(ctx context.Context, upgradeID, prefix string) ([]string, error) {
	folder := b.resultKey(upgradeID, "")
	below := folder + prefix
	var names []string
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: &below})
	err := b.eachPage(ctx, "list a deploy's record", pages, func(page *s3.ListObjectsV2Output) error {
		for _, o := range page.Contents {
			names = append(names, strings.TrimPrefix(aws.ToString(o.Key), folder))
		}
		return nil
	})
	return names, err
}

// isDeployID reports whether a folder of the results belongs to a deploy of flydeploy: those are named by ULIDs. fly_deploy
// writes its results below the same prefix.
func isDeployID(name string) bool {
	id, err := ulid.ParseStrict(name)
	return err == nil && id.String() == name
}

// Upgrades implements engine.Records. ULIDs sort by their time.
func (b *Bucket) Upgrades(ctx context.Context) ([]string, error) {
	prefix := b.resultsPrefix()
	var ids []string
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{
		Bucket: &b.bucket, Prefix: &prefix, Delimiter: aws.String("/"),
	})
	err := b.eachPage(ctx, "list the recorded deploys", pages, func(page *s3.ListObjectsV2Output) error {
		for _, p := range page.CommonPrefixes {
			id := strings.Trim(strings.TrimPrefix(aws.ToString(p.Prefix), prefix), "/")
			if isDeployID(id) {
				ids = append(ids, id)
			}
		}
		return nil
	})
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, err
}

// DeleteUpgrade implements engine.Records.
func (b *Bucket) DeleteUpgrade(ctx context.Context, upgradeID string) error {
	if !isDeployID(upgradeID) {
		return fmt.Errorf("delete a deploy's record: %q is not the id of a deploy", upgradeID)
	}
	prefix := b.resultKey(upgradeID, "")
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: &prefix})
	return b.eachPage(ctx, "list a deploy's record", pages, func(page *s3.ListObjectsV2Output) error {
		failed := make([]error, len(page.Contents))
		var deleting errgroup.Group
		deleting.SetLimit(deletesAtOnce)
		for i, o := range page.Contents {
			deleting.Go(func() error {
				failed[i] = b.Delete(ctx, aws.ToString(o.Key))
				return nil
			})
		}
		_ = deleting.Wait()
		return errors.Join(failed...)
	})
}

// deletesAtOnce bounds parallel deletes. A deploy has only seconds at its end to remove old records, and one record may have
// 1,000 files, one for each machine.
const deletesAtOnce = 16

func (b *Bucket) eachPage(ctx context.Context, op string, pages *s3.ListObjectsV2Paginator, visit func(*s3.ListObjectsV2Output) error) error {
	bounded, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	for pages.HasMorePages() {
		page, err := pages.NextPage(bounded)
		if err != nil {
			return b.explain(ctx, op, b.resultsPrefix(), err)
		}
		if err := visit(page); err != nil {
			return err
		}
	}
	return nil
}
