package engine

import "strings"

// SameImage compares two image references by repository and tag first, then by digest: a machine's own FLY_IMAGE_REF
// may carry a digest that the record lacks, and the other way round.
func SameImage(a, b string) bool {
	aName, aDigest := splitDigest(a)
	bName, bDigest := splitDigest(b)
	if aName != bName {
		return false
	}
	return aDigest == "" || bDigest == "" || aDigest == bDigest
}

func splitDigest(ref string) (name, digest string) {
	name, digest, _ = strings.Cut(ref, "@")
	return name, digest
}

// Repository gives HOST/APP of HOST/APP:TAG@DIGEST.
func Repository(ref string) string {
	name, _ := splitDigest(ref)
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		return name[:colon]
	}
	return name
}

// Tag gives TAG of HOST/APP:TAG@DIGEST, or "".
func Tag(ref string) string {
	name, _ := splitDigest(ref)
	return strings.TrimPrefix(strings.TrimPrefix(name, Repository(ref)), ":")
}
