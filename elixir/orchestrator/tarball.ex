defmodule FlyDeployOrchestrator.Tarball do
  @moduledoc """
  Makes the upgrade's tarball out of the release on the temporary machine. The same release gives the same bytes: entries
  are sorted, and have neither time nor owner. What no upgrade can bring stays out of it, or machines would download and inflate it for
  nothing: the code of OTP and Elixir, and native files, which are only named in its manifest.
  """

  alias FlyDeployAgent.{ConfigFile, Manifest, Release}

  @doc """
  Writes the gzipped tar of the release at `root` to `path`, with its configuration if that is to be applied (`config?`), telling `progress` the entries done and their total. Gives what the
  console wants to know of it, or `{:error, text}`.
  """
  @spec make(Path.t(), atom, Path.t(), boolean, (non_neg_integer, non_neg_integer -> any)) ::
          {:ok, map} | {:error, binary}
  def make(root, otp_app, path, config?, progress) do
    [erts, vsn] = [root, "releases", "start_erl.data"] |> Path.join() |> File.read!() |> String.split()

    left_over = Release.left_over(root, vsn)

    case application_vsn(root, otp_app, left_over) do
      nil ->
        {:error, "the new release has no application #{otp_app}"}

      app_vsn ->
        manifest = {Manifest.path("#{otp_app}-#{app_vsn}"), {:text, Manifest.text(root, vsn)}}
        entries = Enum.sort([manifest | config(root, vsn, config?) ++ entries(root, vsn, left_over)])
        write(path, entries, progress)

        {:ok,
         Map.merge(describe(path), %{
           app_vsn: app_vsn,
           release_vsn: vsn,
           erts: erts,
           otp: List.to_string(:erlang.system_info(:otp_release)),
           elixir: System.version(),
           entries: length(entries),
           beams: Enum.count(entries, fn {name, _} -> String.ends_with?(name, ".beam") end)
         })}
    end
  end

  defp config(_root, _vsn, false), do: []

  defp config(root, vsn, true),
    do: [{ConfigFile.path(vsn), {:text, root |> ConfigFile.read(vsn) |> ConfigFile.encode()}}]

  defp application_vsn(root, app, left_over) do
    found = root |> Path.join("lib/#{app}-*/ebin/#{app}.app") |> Path.wildcard()

    with [file | _] <- Enum.reject(found, &Release.below?(Path.relative_to(&1, root), left_over)),
         {:ok, [{:application, ^app, keys}]} <- :file.consult(file) do
      List.to_string(keys[:vsn])
    else
      _ -> nil
    end
  end

  defp entries(root, vsn, left_over) do
    patterns = ["lib/*/ebin/*.{beam,app}", "releases/#{vsn}/consolidated/*.beam", "lib/*/priv/**"]

    for(
      pattern <- patterns,
      path <- root |> Path.join(pattern) |> Path.wildcard(match_dot: true),
      File.regular?(path),
      name = Path.relative_to(path, root),
      Release.takes_part?(name),
      not Release.below?(name, left_over),
      not (name =~ "/priv/" and Manifest.native?(path)),
      do: {name, path}
    )
  end

  defp write(path, entries, progress) do
    total = length(entries)
    {:ok, tar} = :erl_tar.open(String.to_charlist(path), [:write, :compressed])

    for {{name, file}, n} <- Enum.with_index(entries, 1) do
      :ok = :erl_tar.add(tar, content(file), String.to_charlist(name), mtime: 0, uid: 0, gid: 0)
      progress.(n, total)
    end

    :ok = :erl_tar.close(tar)
  end

  defp content({:text, text}), do: text
  defp content(file), do: File.read!(file)

  defp describe(path), do: %{path: path, sha256: Manifest.sha256(path), size: File.stat!(path).size}
end
