defmodule FlyDeploy.Metadata do
  @moduledoc false

  # releases/<app>-current.json, as flydeploy writes it (engine.EncodeMetadata). Unknown fields are ignored.

  alias FlyDeploy.Json

  @type upgrade :: %{
          version: String.t(),
          hot_ref: String.t() | nil,
          tarball_url: String.t(),
          sha256: String.t(),
          size: pos_integer,
          id: String.t() | nil,
          deployed_at: String.t() | nil,
          fingerprint: String.t() | nil,
          git_revision: String.t() | nil,
          release_command: String.t() | nil,
          apply_config: boolean,
          apply_children: String.t() | nil,
          agent: agent | nil,
          signature: FlyDeploy.Signature.t() | nil
        }

  @typedoc "The compiled agent of an upgrade, and what it was compiled with; an older flydeploy records none."
  @type agent :: %{
          url: String.t(),
          sha256: String.t(),
          size: pos_integer,
          source: String.t(),
          otp: String.t(),
          elixir: String.t()
        }

  @doc """
  Gives the upgrade that a machine is to run which has booted from the image `image_ref` with the code `image_code`
  (`FlyDeploy.Version.image_code/0`): its own, or else the fleet's. `:other_image` after a cold deploy, also under the same tag,
  `:none` where there is no upgrade.
  """
  @spec upgrade(binary, String.t(), String.t(), String.t() | nil) ::
          {:ok, upgrade} | :none | :other_image | {:error, String.t()}
  def upgrade(text, image_ref, image_code, machine_id) do
    case Json.decode(text) do
      {:ok, %{"image_ref" => recorded} = document} when is_binary(recorded) ->
        if same_image?(recorded, image_ref) and same_code?(document, image_code),
          do: document |> chosen(machine_id) |> read(),
          else: :other_image

      {:ok, _} ->
        {:error, "current.json names no image_ref"}

      {:error, text} ->
        {:error, "current.json is damaged: #{text}"}
    end
  end

  @doc "The image that a current.json is for, nil if it names none."
  @spec image_ref(binary) :: String.t() | nil
  def image_ref(text) do
    case Json.decode(text) do
      {:ok, %{"image_ref" => recorded}} -> text(recorded)
      _ -> nil
    end
  end

  @doc "The signature for it that a current.json names no upgrade, nil if there is none."
  @spec own_code(binary) :: FlyDeploy.Signature.t() | nil
  def own_code(text) do
    case Json.decode(text) do
      {:ok, %{} = document} -> signature(document["own_code"])
      _ -> nil
    end
  end

  # What either side does not know tells nothing. A field that was left over from another image counts as not known.
  defp same_code?(
         %{"image_code" => %{"image_ref" => ref, "fingerprint" => code}, "image_ref" => ref},
         image_code
       ),
       do: image_code == "" or code == image_code

  defp same_code?(_document, _image_code), do: true

  defp chosen(%{"machine_upgrades" => %{} = upgrades} = document, machine_id) do
    case upgrades[machine_id] do
      nil -> document["hot_upgrade"]
      name when is_binary(name) -> document |> by_name(name) |> Map.delete("signature")
      [name, at, value] -> document |> by_name(name) |> signed(machine_id, at, value)
      own -> own
    end
  end

  defp chosen(document, _machine_id), do: document["hot_upgrade"]

  # An upgrade that several machines run is written once (engine.EncodeMetadata). One that is not there has nothing that is needed.
  defp by_name(%{"upgrades" => %{} = upgrades}, name) do
    case upgrades[name] do
      %{} = upgrade -> upgrade
      _ -> %{}
    end
  end

  defp by_name(_document, _name), do: %{}

  # What the machines' signatures have in common stands with the upgrade.
  defp signed(%{"signature" => %{} = common} = upgrade, machine_id, at, value) do
    own = Map.merge(common, %{"machine" => machine_id, "signed_at_ms" => at, "value" => value})
    %{upgrade | "signature" => own}
  end

  defp signed(upgrade, _machine_id, _at, _value), do: upgrade

  defp read(nil), do: :none

  defp read(%{"version" => version, "tarball_url" => url, "sha256" => sha256, "size" => size} = upgrade)
       when is_binary(version) and is_binary(url) and is_binary(sha256) and is_integer(size) and size > 0 do
    {:ok,
     %{
       version: version,
       hot_ref: text(upgrade["source_image_ref"]),
       tarball_url: url,
       sha256: sha256,
       size: size,
       id: text(upgrade["id"]),
       deployed_at: text(upgrade["deployed_at"]),
       fingerprint: text(upgrade["fingerprint"]),
       git_revision: text(upgrade["git_revision"]),
       release_command: text(upgrade["release_command"]),
       apply_config: upgrade["apply_config"] == true,
       apply_children: text(upgrade["apply_children"]),
       agent: agent(upgrade["agent"]),
       signature: signature(upgrade["signature"])
     }}
  end

  defp read(_), do: {:error, "current.json records an upgrade without version, tarball_url, sha256 or size"}

  defp text(value) when is_binary(value) and value != "", do: value
  defp text(_), do: nil

  defp agent(%{"url" => url, "sha256" => sha256, "size" => size, "otp" => otp, "elixir" => elixir} = agent)
       when is_binary(url) and is_binary(sha256) and is_integer(size) and size > 0 and is_binary(otp) and
              is_binary(elixir),
       do: %{
         url: url,
         sha256: sha256,
         size: size,
         source: text(agent["source"]) || "",
         otp: otp,
         elixir: elixir
       }

  defp agent(_), do: nil

  # What has another form counts as no signature.
  defp signature(%{"key" => key, "image" => image, "signed_at_ms" => at, "value" => value} = signature)
       when is_binary(key) and is_binary(image) and is_integer(at) and at >= 0 and is_binary(value) do
    case Base.decode64(value) do
      {:ok, value} ->
        %{
          key: key,
          image: image,
          image_code: text(signature["image_code"]) || "",
          machine: text(signature["machine"]) || "",
          signed_at_ms: at,
          value: value
        }

      :error ->
        nil
    end
  end

  defp signature(_), do: nil

  @doc """
  Whether two references name the same image: by repository and tag, then by digest where both have one.

      iex> FlyDeploy.Metadata.same_image?("registry.fly.io/a:v1", "registry.fly.io/a:v1@sha256:01")
      true
      iex> FlyDeploy.Metadata.same_image?("registry.fly.io/a:v1@sha256:02", "registry.fly.io/a:v1@sha256:01")
      false
      iex> FlyDeploy.Metadata.same_image?("registry.fly.io/a:v1", "registry.fly.io/b:v1")
      false
  """
  @spec same_image?(String.t(), String.t()) :: boolean
  def same_image?(a, b) do
    {name_a, digest_a} = split(a)
    {name_b, digest_b} = split(b)
    name_a == name_b and (digest_a == digest_b or nil in [digest_a, digest_b])
  end

  defp split(ref) do
    case String.split(ref, "@", parts: 2) do
      [name, digest] when digest != "" -> {name, digest}
      [name | _] -> {name, nil}
    end
  end
end
