defmodule FlyDeployAgent.Inventory do
  @moduledoc """
  What of a tarball this machine has already. An upgrade changes little of a release: the rest need be neither written nor compared
  file by file.
  """

  alias FlyDeployAgent.{Beam, Release}

  @doc """
  Whether a file of the tarball lies in the release byte by byte, and runs, where it is a module. Descriptions of the release's
  libraries and the protocols that these consolidate never count as had: the comparison wants all of them. An application of OTP or
  Elixir is described by its version.
  """
  @spec has?(String.t(), binary) :: boolean
  def has?(name, content) do
    case Path.split(name) do
      ["lib", folder | path] ->
        has?(folder, path, Path.extname(name), content)

      ["releases", _vsn, "consolidated", file] ->
        elixirs?(module(file), content) and consolidated?(file, content)

      _ ->
        false
    end
  end

  defp has?(folder, _path, ".app", _content) do
    {app, vsn} = Release.split(folder)
    Release.origin(app) != :library and match?({^app, ^vsn}, running(app))
  end

  defp has?(folder, ["ebin", file] = path, ".beam", content),
    do: runs?(module(file), content) and lies?(folder, path, content)

  defp has?(folder, path, _extension, content), do: lies?(folder, path, content)

  defp module(file), do: file |> Path.rootname() |> String.to_atom()

  defp running(app), do: with(dir when dir != nil <- Release.app_dir(app), do: Release.split(dir))

  # Few upgrades implement one of Elixir's own protocols anew.
  defp elixirs?(module, content) do
    with {:ok, app} <- :application.get_application(module),
         do: Release.origin(app) == :elixir and runs?(module, content),
         else: (:undefined -> false)
  end

  defp consolidated?(file, content),
    do: Release.root() != nil and Release.consolidated() |> Path.join(file) |> File.read() == {:ok, content}

  # In interactive mode a module is loaded when it is called first.
  defp runs?(module, content) do
    case Beam.loaded_md5(module) do
      nil -> :code.get_mode() == :interactive
      md5 -> md5 == Beam.md5(content)
    end
  end

  defp lies?(folder, path, content) do
    {app, _vsn} = Release.split(folder)

    case Release.app_dir(app) do
      nil -> false
      dir -> [dir | path] |> Path.join() |> File.read() == {:ok, content}
    end
  end
end
