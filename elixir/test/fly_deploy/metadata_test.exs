defmodule FlyDeploy.MetadataTest do
  use ExUnit.Case, async: true

  alias FlyDeploy.Metadata

  doctest Metadata

  @image "registry.fly.io/my-app:deployment-01K93Q"

  defp upgrade(version) do
    %{
      "version" => version,
      "source_image_ref" => "registry.fly.io/my-app:deployment-#{version}",
      "tarball_url" => "https://fly.storage.tigris.dev/b/releases/my_app-#{version}.tar.gz",
      "deployed_at" => "2024-01-15T10:30:00Z",
      "sha256" => String.duplicate("a", 64),
      "size" => 4_000,
      "id" => "01K93QXXXXXXXXXXXXXXXXXXXX"
    }
  end

  defp chosen(document, image \\ @image, code \\ ""),
    do: document |> FlyDeployAgent.Json.encode() |> Metadata.upgrade(image, code, "3d8d9930f32389")

  test "the fleet's upgrade" do
    assert {:ok, %{version: "1.2.4", size: 4_000, hot_ref: "registry.fly.io/my-app:deployment-1.2.4"}} =
             chosen(%{"image_ref" => @image, "hot_upgrade" => upgrade("1.2.4"), "unknown" => [1]})
  end

  test "a machine's own upgrade comes before the fleet's" do
    document = %{"image_ref" => @image, "hot_upgrade" => upgrade("1.2.4")}
    mine = Map.put(document, "machine_upgrades", %{"3d8d9930f32389" => upgrade("1.2.5")})
    anothers = Map.put(document, "machine_upgrades", %{"e2865013d24908" => upgrade("1.2.5")})

    assert {:ok, %{version: "1.2.5"}} = chosen(mine)
    assert {:ok, %{version: "1.2.4"}} = chosen(anothers)
    assert {:ok, %{version: "1.2.5"}} = chosen(%{mine | "hot_upgrade" => nil})
    assert :none = chosen(%{anothers | "hot_upgrade" => nil})
  end

  test "an upgrade of several machines, by its name" do
    document = %{"image_ref" => @image, "hot_upgrade" => upgrade("1.2.4")}

    named =
      Map.put(document, "upgrades", %{"01A" => upgrade("1.2.5"), "01A-2" => upgrade("1.2.6"), "bad" => 1})

    own = &chosen(Map.put(named, "machine_upgrades", %{"3d8d9930f32389" => &1, "other" => "01A-2"}))

    assert {:ok, %{version: "1.2.5", signature: nil}} = own.("01A")
    assert {:ok, %{version: "1.2.6"}} = own.("01A-2")
    assert {:ok, %{version: "1.2.7"}} = own.(upgrade("1.2.7"))
    # Names of nothing, and what has another form, lead to the image's own code, not to another upgrade.
    for entry <- ["01B", "bad", ["01B", 1, "x"], ["01A"], [], 7, ""], do: assert({:error, _} = own.(entry))
    assert {:error, _} = chosen(Map.put(document, "machine_upgrades", %{"3d8d9930f32389" => "01A"}))
  end

  # flydeploy's console has written it: engine/sign.
  test "signed by name, of each machine's own" do
    text = __DIR__ |> Path.join("named.json") |> File.read!()

    [%{"public_key" => key} | _] =
      __DIR__ |> Path.join("signatures.json") |> File.read!() |> FlyDeploy.Json.decode() |> elem(1)

    {:ok, keys} = FlyDeploy.Signature.keys(public_key: key)
    image = Metadata.image_ref(text)
    here = %{fly_app: "my-app", otp_app: "my_app", image: image, image_code: "", machine: ""}

    for machine <- ["m1", "m2"] do
      assert {:ok, %{version: "1.2.4", signature: %{machine: ^machine}} = upgrade} =
               Metadata.upgrade(text, image, "", machine)

      assert FlyDeploy.Signature.verify(upgrade, keys, %{here | machine: machine}) == :ok
    end

    # m3's entry has what was signed for m1, m4's hook reads no names.
    {:ok, moved} = Metadata.upgrade(text, image, "", "m3")

    assert {:error, "its signature is not" <> _} =
             FlyDeploy.Signature.verify(moved, keys, %{here | machine: "m3"})

    assert {:ok, %{version: "1.2.4"}} = Metadata.upgrade(text, image, "", "m4")
    assert :none = Metadata.upgrade(text, image, "", "m5")
  end

  test "after a cold deploy the image is another one, and nothing is applied" do
    document = %{"image_ref" => @image, "hot_upgrade" => upgrade("1.2.4")}
    assert :other_image = chosen(document, "registry.fly.io/my-app:deployment-01K94R")
    assert {:ok, _} = chosen(document, @image <> "@sha256:0123")
    assert :other_image = chosen(%{document | "image_ref" => @image <> "@sha256:01"}, @image <> "@sha256:02")
  end

  test "a tag that was moved to another image is told by the image's code" do
    document = %{"image_ref" => @image, "hot_upgrade" => upgrade("1.2.4")}
    known = Map.put(document, "image_code", %{"image_ref" => @image, "fingerprint" => "c0de"})
    assert {:ok, _} = chosen(known, @image, "c0de")
    assert :other_image = chosen(known, @image, "0ther")
    # What one side does not know tells nothing, and what belongs to an earlier image does not either.
    assert {:ok, _} = chosen(known, @image, "")
    assert {:ok, _} = chosen(document, @image, "0ther")

    left_over = %{
      known
      | "image_code" => %{"image_ref" => "registry.fly.io/my-app:earlier", "fingerprint" => "c0de"}
    }

    assert {:ok, _} = chosen(left_over, @image, "0ther")
  end

  test "no upgrade" do
    assert :none = chosen(%{"image_ref" => @image, "hot_upgrade" => nil})
    assert :none = chosen(%{"image_ref" => @image})
  end

  test "an upgrade without what proves its bytes is refused" do
    for field <- ~w(version tarball_url sha256 size) do
      document = %{"image_ref" => @image, "hot_upgrade" => Map.delete(upgrade("1.2.4"), field)}
      assert {:error, "current.json records an upgrade without " <> _} = chosen(document)
    end
  end

  test "documents of another kind are refused" do
    for text <- ["", "[]", "1", "{}", ~s({"image_ref": 1}), "<html></html>"],
        do: assert({:error, _} = Metadata.upgrade(text, @image, "", nil))

    assert {:error, _} = chosen(%{"image_ref" => @image, "hot_upgrade" => "1.2.4"})
  end

  # The same table as the console's, in engine/image.go.
  test "same images" do
    for {a, b, same} <- [
          {"r/a:1", "r/a:1", true},
          {"r/a:1", "r/a:2", false},
          {"r/a:1", "r/b:1", false},
          {"r/a:1", "other/a:1", false},
          {"r/a:1@sha256:aa", "r/a:1", true},
          {"r/a:1", "r/a:1@sha256:aa", true},
          {"r/a:1@sha256:aa", "r/a:1@sha256:aa", true},
          {"r/a:1@sha256:aa", "r/a:1@sha256:bb", false},
          {"r/a:1@sha256:aa", "r/a:2@sha256:aa", false},
          {"r/a@sha256:aa", "r/a:1@sha256:aa", false}
        ],
        do: assert({a, b, Metadata.same_image?(a, b)} == {a, b, same})
  end
end
